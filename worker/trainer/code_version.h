// Which build this is.
#ifndef ISOFLOP_WORKER_TRAINER_CODE_VERSION_H_
#define ISOFLOP_WORKER_TRAINER_CODE_VERSION_H_

#include <string>

namespace isoflop {

std::string CodeVersion();  // "0.1.0+g1a2b3c4d5e-dirty"
std::string BuildType();    // "Release"

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_CODE_VERSION_H_
