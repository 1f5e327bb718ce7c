// The folder of all checkpoints, which several workers may share. Paths below it
// are made of integers, never of text: `trial-<id>/lease-<lease_id>/step-<8
// digits>`.
//
// Blocks on the disk. Thread-safe.
#ifndef ISOFLOP_WORKER_AGENT_CHECKPOINT_ROOT_H_
#define ISOFLOP_WORKER_AGENT_CHECKPOINT_ROOT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace isoflop {

struct CheckpointPath {
  int64_t trial_id = 0;
  int64_t lease_id = 0;
  int64_t step = 0;

  std::string LeaseFolder() const;  // "trial-17/lease-95"
  std::string ToString() const;     // "trial-17/lease-95/step-00000800"
  // nullopt: any other text.
  static std::optional<CheckpointPath> Parse(const std::string& text);
};

class CheckpointRoot {
 public:
  // Makes the folder, and in it the file `checkpoint_store_id`, by which two
  // workers recognise a folder that they share.
  static absl::StatusOr<CheckpointRoot> Open(const std::string& folder);

  const std::string& store_id() const { return store_id_; }  // 16 bytes
  const std::string& folder() const { return folder_; }

  // Makes the folder of a lease; its absolute path. AlreadyExists when it holds
  // something: lease numbers are never used again.
  absl::StatusOr<std::string> MakeLeaseFolder(int64_t trial_id, int64_t lease_id) const;
  // The absolute path of a checkpoint that is there; NotFound.
  absl::StatusOr<std::string> Find(const CheckpointPath& path) const;
  // Deletes a checkpoint; one that is not there is deleted. Links on the way
  // are refused.
  absl::Status Delete(const CheckpointPath& path) const;

 private:
  CheckpointRoot(std::string folder, std::string store_id)
      : folder_(std::move(folder)), store_id_(std::move(store_id)) {}

  std::string folder_;
  std::string store_id_;
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_AGENT_CHECKPOINT_ROOT_H_
