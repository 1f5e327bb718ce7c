// The version of this build.
#ifndef ISOFLOP_TOOLS_ISOFLOP_VERSION_H_
#define ISOFLOP_TOOLS_ISOFLOP_VERSION_H_

#include <string>

namespace isoflop {

// "0.1.0+g1a2b3c4" or "0.1.0+g1a2b3c4-dirty": release, commit, and whether the
// tree had changes. What the column code_version and the report carry.
std::string CodeVersion();

// "isoflop 0.1.0+g1a2b3c4 (g++ 12.2.0, Release)".
std::string VersionText();

}  // namespace isoflop

#endif  // ISOFLOP_TOOLS_ISOFLOP_VERSION_H_
