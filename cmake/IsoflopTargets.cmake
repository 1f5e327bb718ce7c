# The flags of the house and its two helpers, isoflop_library and isoflop_test.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
if(NOT CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(ISOFLOP_CCACHE ccache)
  if(ISOFLOP_CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
        CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${ISOFLOP_CCACHE})
  endif()
endif()

add_library(isoflop_flags INTERFACE)
target_include_directories(isoflop_flags INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
target_compile_options(isoflop_flags INTERFACE -Wall -Wextra -Wconversion -Wno-sign-conversion)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(isoflop_flags INTERFACE -Wthread-safety)
endif()
if(ISOFLOP_WERROR)
  target_compile_options(isoflop_flags INTERFACE -Werror)
endif()
if(ISOFLOP_SANITIZE)
  target_compile_options(isoflop_flags INTERFACE
    -fsanitize=${ISOFLOP_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=undefined -g1)
  target_link_options(isoflop_flags INTERFACE -fsanitize=${ISOFLOP_SANITIZE})
endif()

# isoflop_library(NAME SOURCES a.cc b.cc [DEPS x::y ...] [PRIVATE_DEPS ...])
# One library a folder. DEPS are what its headers need, PRIVATE_DEPS what only
# its .cc files need.
function(isoflop_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC isoflop_flags ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
endfunction()

# isoflop_test(NAME SOURCES a_test.cc [DEPS ...] [LABELS unit] [TIMEOUT s] [ENV A=b] [NO_MAIN])
# One GoogleTest program, one ctest entry. LABELS: unit (default; seconds, no
# net, no GPU), e2e, gpu, tsan. Test data is found through ISOFLOP_SOURCE_DIR.
function(isoflop_test name)
  cmake_parse_arguments(ARG "NO_MAIN" "TIMEOUT" "SOURCES;DEPS;LABELS;ENV" ${ARGN})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gmock)
  if(ARG_NO_MAIN)
    target_link_libraries(${name} PRIVATE GTest::gtest)
  else()
    target_link_libraries(${name} PRIVATE GTest::gtest_main)
  endif()
  target_compile_definitions(${name} PRIVATE
    ISOFLOP_SOURCE_DIR="${PROJECT_SOURCE_DIR}" ISOFLOP_BINARY_DIR="${PROJECT_BINARY_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT}
    ENVIRONMENT "${ARG_ENV}" SKIP_REGULAR_EXPRESSION "ISOFLOP_WHOLE_TEST_SKIPPED")
endfunction()

# Defines the target isoflop_git_version once, whichever program asks first: it
# writes generated/isoflop_git_version.h at each build.
function(isoflop_git_version_target)
  if(TARGET isoflop_git_version)
    return()
  endif()
  add_custom_target(isoflop_git_version
    COMMAND ${CMAKE_COMMAND} -DSOURCE_DIR=${PROJECT_SOURCE_DIR} -DVERSION=${PROJECT_VERSION}
      -DBUILD_TYPE=${CMAKE_BUILD_TYPE} -DOUT=${PROJECT_BINARY_DIR}/generated/isoflop_git_version.h
      -P ${PROJECT_SOURCE_DIR}/cmake/GitVersion.cmake
    BYPRODUCTS ${PROJECT_BINARY_DIR}/generated/isoflop_git_version.h)
endfunction()
