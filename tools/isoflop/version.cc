#include "tools/isoflop/version.h"

#include "isoflop_git_version.h"

namespace isoflop {

std::string CodeVersion() { return ISOFLOP_CODE_VERSION; }

std::string VersionText() {
#if defined(__clang__)
  const std::string compiler = "clang++ " __clang_version__;
#else
  const std::string compiler = "g++ " __VERSION__;
#endif
  return "isoflop " + CodeVersion() + " (" + compiler + ", " ISOFLOP_BUILD_TYPE ")";
}

}  // namespace isoflop
