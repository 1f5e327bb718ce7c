// A folder for files in the making, beside where they will be renamed to.
#ifndef ISOFLOP_CORPUS_SCRATCH_FOLDER_H_
#define ISOFLOP_CORPUS_SCRATCH_FOLDER_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace isoflop {

// Removed with all that is left in it when this object ends.
class ScratchFolder {
 public:
  // Makes `<parent>/.preparing-XXXXXX`. ResourceExhausted: the disk is full.
  static absl::StatusOr<ScratchFolder> MakeIn(const std::string& parent);
  ScratchFolder(ScratchFolder&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  ScratchFolder& operator=(ScratchFolder&&) = delete;
  ~ScratchFolder();

  const std::string& path() const { return path_; }

 private:
  explicit ScratchFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace isoflop

#endif  // ISOFLOP_CORPUS_SCRATCH_FOLDER_H_
