#include "worker/trainer/code_version.h"

#include "isoflop_git_version.h"

namespace isoflop {

std::string CodeVersion() { return ISOFLOP_CODE_VERSION; }
std::string BuildType() { return ISOFLOP_BUILD_TYPE; }

}  // namespace isoflop
