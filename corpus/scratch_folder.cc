#include "corpus/scratch_folder.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "corpus/file_access.h"

namespace isoflop {

absl::StatusOr<ScratchFolder> ScratchFolder::MakeIn(const std::string& parent) {
  std::string path = parent + "/.preparing-XXXXXX";
  if (mkdtemp(path.data()) == nullptr) return ErrnoError(path, "cannot be made", errno);
  // mkdtemp makes it for its owner alone; the data set is for the group too.
  chmod(path.c_str(), 0755);
  return ScratchFolder(path);
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

}  // namespace isoflop
