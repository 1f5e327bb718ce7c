# Writes isoflop_git_version.h with the commit of the source tree; run at each
# build, the file changes only when its content does.
#   cmake -DSOURCE_DIR=... -DOUT=... -DVERSION=... -DBUILD_TYPE=... -P GitVersion.cmake
set(code_version "${VERSION}")
execute_process(COMMAND git -C ${SOURCE_DIR} rev-parse --short=10 HEAD
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(NOT failed)
  string(APPEND code_version "+g${commit}")
  execute_process(COMMAND git -C ${SOURCE_DIR} status --porcelain --untracked-files=no
    OUTPUT_VARIABLE changes ERROR_QUIET)
  if(changes)
    string(APPEND code_version "-dirty")
  endif()
endif()
set(text "#define ISOFLOP_CODE_VERSION \"${code_version}\"\n#define ISOFLOP_BUILD_TYPE \"${BUILD_TYPE}\"\n")
set(old "")
if(EXISTS ${OUT})
  file(READ ${OUT} old)
endif()
if(NOT old STREQUAL text)
  file(WRITE ${OUT} "${text}")
endif()
