#include "worker/agent/checkpoint_root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace isoflop {
namespace fs = std::filesystem;
namespace {

std::string ReadStoreId(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line.size() == 32 && line.find_first_not_of("0123456789abcdef") == std::string::npos
             ? absl::HexStringToBytes(line)
             : "";
}

bool IsPlainFolder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(fs::symlink_status(path, error));
}

}  // namespace

std::string CheckpointPath::LeaseFolder() const {
  return absl::StrCat("trial-", trial_id, "/lease-", lease_id);
}

std::string CheckpointPath::ToString() const {
  return absl::StrFormat("%s/step-%08d", LeaseFolder(), step);
}

std::optional<CheckpointPath> CheckpointPath::Parse(const std::string& text) {
  CheckpointPath out;
  long long trial = 0, lease = 0, step = 0;
  if (sscanf(text.c_str(), "trial-%lld/lease-%lld/step-%lld", &trial, &lease, &step) != 3) {
    return std::nullopt;
  }
  out.trial_id = trial;
  out.lease_id = lease;
  out.step = step;
  if (trial <= 0 || lease <= 0 || step <= 0 || out.ToString() != text) return std::nullopt;
  return out;
}

absl::StatusOr<CheckpointRoot> CheckpointRoot::Open(const std::string& folder) {
  std::error_code error;
  const std::string root = fs::absolute(folder).lexically_normal().string();
  fs::create_directories(root, error);
  if (error) {
    return absl::UnavailableError(absl::StrCat("checkpoints ", root, ": ", error.message()));
  }
  const std::string path = root + "/checkpoint_store_id";
  std::string id = ReadStoreId(path);
  if (id.empty()) {
    unsigned char random[16];
    if (getrandom(random, sizeof random, 0) != static_cast<ssize_t>(sizeof random)) {
      return absl::InternalError("getrandom: no 16 bytes");
    }
    const std::string text = absl::BytesToHexString(
        absl::string_view(reinterpret_cast<const char*>(random), sizeof random));
    const std::string fresh = absl::StrCat(path, ".", getpid(), ".", text.substr(0, 8));
    std::ofstream(fresh) << text << "\n";
    // Of several workers that start at once, the first link counts.
    if (link(fresh.c_str(), path.c_str()) != 0 && errno != EEXIST) {
      const int reason = errno;
      unlink(fresh.c_str());
      return absl::UnavailableError(absl::StrCat("checkpoints ", path, ": ", strerror(reason)));
    }
    unlink(fresh.c_str());
    id = ReadStoreId(path);
  }
  if (id.empty()) {
    return absl::DataLossError(absl::StrCat(
        "checkpoints ", path, ": is not 32 hex digits; cure: delete it, the checkpoints below are "
        "then taken for another store's"));
  }
  return CheckpointRoot(root, id);
}

absl::StatusOr<std::string> CheckpointRoot::MakeLeaseFolder(int64_t trial_id,
                                                            int64_t lease_id) const {
  const CheckpointPath path{trial_id, lease_id, 0};
  const fs::path trial = fs::path(folder_) / absl::StrCat("trial-", trial_id);
  const fs::path lease = fs::path(folder_) / path.LeaseFolder();
  std::error_code error;
  fs::create_directory(trial, error);
  if (!IsPlainFolder(trial)) {
    return absl::UnavailableError(absl::StrCat("checkpoints ", trial.string(), ": ",
                                               error ? error.message() : "is no folder"));
  }
  if (!fs::create_directory(lease, error)) {
    if (error) {
      return absl::UnavailableError(
          absl::StrCat("checkpoints ", lease.string(), ": ", error.message()));
    }
    return absl::AlreadyExistsError(
        absl::StrCat("checkpoints ", lease.string(), ": is there already"));
  }
  return lease.string();
}

absl::StatusOr<std::string> CheckpointRoot::Find(const CheckpointPath& path) const {
  const fs::path full = fs::path(folder_) / path.ToString();
  if (!IsPlainFolder(full)) {
    return absl::NotFoundError(absl::StrCat("checkpoint ", full.string(), ": is not there"));
  }
  return full.string();
}

absl::Status CheckpointRoot::Delete(const CheckpointPath& path) const {
  const fs::path lease = fs::path(folder_) / path.LeaseFolder();
  const fs::path full = fs::path(folder_) / path.ToString();
  std::error_code error;
  if (!fs::exists(fs::symlink_status(full, error))) return absl::OkStatus();
  if (!IsPlainFolder(lease.parent_path()) || !IsPlainFolder(lease) || !IsPlainFolder(full)) {
    return absl::PermissionDeniedError(
        absl::StrCat("checkpoint ", full.string(), ": a link is on the way; left alone"));
  }
  fs::remove_all(full, error);
  if (error) {
    return absl::UnavailableError(absl::StrCat("checkpoint ", full.string(), ": ", error.message()));
  }
  return absl::OkStatus();
}

}  // namespace isoflop
