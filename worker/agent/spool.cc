#include "worker/agent/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "google/protobuf/util/json_util.h"
#include "proto/work_queue.pb.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

constexpr char kLines[] = ".jsonl";
constexpr char kPids[] = ".pids";
// Before the mark of a lease's processes, in its .pids.
constexpr char kMark[] = "mark ";

absl::Status FromErrno(const std::string& path, const char* what) {
  const std::string message = absl::StrCat("spool ", path, ": ", what, ": ", strerror(errno));
  if (errno == ENOSPC || errno == EDQUOT) {
    return absl::ResourceExhaustedError(absl::StrCat(message, "; cure: free some space there"));
  }
  return absl::UnavailableError(message);
}

absl::Status WriteAll(int fd, const std::string& path, const std::string& text) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t wrote = write(fd, text.data() + done, text.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return FromErrno(path, "write");
    done += static_cast<size_t>(wrote);
  }
  return absl::OkStatus();
}

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

void SyncFolder(const std::string& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

}  // namespace

// ---- one lease ----

LeaseSpool::LeaseSpool(std::string stem, int fd, int64_t size)
    : stem_(std::move(stem)), fd_(fd), size_(size) {}

LeaseSpool::~LeaseSpool() {
  if (fd_ >= 0) close(fd_);
}

absl::Status LeaseSpool::Append(const wire::HeldLease& part, int64_t* offset) {
  std::string line;
  const auto written = google::protobuf::util::MessageToJsonString(part, &line);
  ISOFLOP_CHECK(written.ok(), written.ToString());
  line.push_back('\n');
  if (absl::Status status = WriteAll(fd_, stem_ + kLines, line); !status.ok()) {
    // Half a line would spoil the next one.
    (void)!ftruncate(fd_, size_);
    return status;
  }
  if (offset != nullptr) *offset = size_;
  size_ += static_cast<int64_t>(line.size());
  dirty_ = true;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<wire::HeldLease>> LeaseSpool::Read(int64_t& offset,
                                                              int max_points) const {
  std::vector<wire::HeldLease> parts;
  std::string buffer;
  int points = 0;
  int64_t read_to = offset;
  while (points < max_points) {
    size_t end = buffer.find('\n');
    while (end == std::string::npos) {
      char chunk[32 * 1024];
      const ssize_t got = pread(fd_, chunk, sizeof chunk, read_to);
      if (got < 0) return FromErrno(stem_, "read");
      if (got == 0) return parts;  // the end, or a last line that is torn
      read_to += got;
      buffer.append(chunk, static_cast<size_t>(got));
      end = buffer.find('\n');
    }
    wire::HeldLease part;
    google::protobuf::util::JsonParseOptions options;
    options.ignore_unknown_fields = true;
    const auto status =
        google::protobuf::util::JsonStringToMessage(buffer.substr(0, end), &part, options);
    if (!status.ok()) {
      return absl::DataLossError(absl::StrCat("spool ", stem_, kLines, ": at byte ", offset,
                                              ": is no part of a lease"));
    }
    offset += static_cast<int64_t>(end) + 1;
    buffer.erase(0, end + 1);
    points += part.points_size();
    parts.push_back(std::move(part));
  }
  return parts;
}

absl::Status LeaseSpool::TruncateTo(int64_t size) {
  if (ftruncate(fd_, size) != 0) return FromErrno(stem_, "truncate");
  size_ = size;
  dirty_ = true;
  return absl::OkStatus();
}

absl::Status LeaseSpool::Sync() {
  if (!dirty_) return absl::OkStatus();
  if (fdatasync(fd_) != 0) return FromErrno(stem_, "sync");
  dirty_ = false;
  return absl::OkStatus();
}

absl::Status LeaseSpool::NoteProcess(const ProcessNote& note) {
  return AppendPids(absl::StrCat(note.pid, " ", note.start_ticks, " ", note.boot_id, "\n"));
}

absl::Status LeaseSpool::NoteMark(const std::string& mark) {
  return AppendPids(absl::StrCat(kMark, mark, "\n"));
}

absl::Status LeaseSpool::AppendPids(const std::string& line) {
  const std::string path = stem_ + kPids;
  const int fd = open(path.c_str(), O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return FromErrno(path, "open");
  absl::Status status = WriteAll(fd, path, line);
  close(fd);
  return status;
}

void LeaseSpool::Remove() {
  unlink((stem_ + kPids).c_str());
  unlink((stem_ + kLines).c_str());
}

// ---- the folder ----

absl::StatusOr<std::unique_ptr<Spool>> Spool::Open(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    return absl::UnavailableError(absl::StrCat("spool ", folder, ": ", error.message()));
  }
  chmod(folder.c_str(), 0700);
  std::unique_ptr<Spool> spool(new Spool(folder));
  ISOFLOP_RETURN_IF_ERROR(spool->Lock());
  unsigned char random[16];
  if (getrandom(random, sizeof random, 0) != static_cast<ssize_t>(sizeof random)) {
    return absl::InternalError("getrandom: no 16 bytes");
  }
  spool->instance_id_.assign(reinterpret_cast<const char*>(random), sizeof random);
  const std::vector<std::string> instances =
      absl::StrSplit(ReadFile(folder + "/instance"), '\n');
  for (const std::string& line : instances) {
    if (line.size() == 32) spool->previous_.push_back(absl::HexStringToBytes(line));
  }
  ISOFLOP_RETURN_IF_ERROR(spool->ReadLeft());
  ISOFLOP_RETURN_IF_ERROR(spool->WriteInstances());
  return spool;
}

Spool::~Spool() {
  if (lock_fd_ >= 0) close(lock_fd_);
}

absl::Status Spool::Lock() {
  const std::string path = folder_ + "/lock";
  lock_fd_ = open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock_fd_ < 0) return FromErrno(path, "open");
  if (flock(lock_fd_, LOCK_EX | LOCK_NB) != 0) {
    std::string holder = ReadFile(path);
    while (!holder.empty() && holder.back() == '\n') holder.pop_back();
    return absl::FailedPreconditionError(
        absl::StrCat("spool ", folder_, ": the worker with pid ",
                     holder.empty() ? "unknown" : holder,
                     " holds it; cure: another --spool, or stop that worker"));
  }
  if (ftruncate(lock_fd_, 0) != 0) return FromErrno(path, "truncate");
  return WriteAll(lock_fd_, path, absl::StrCat(getpid(), "\n"));
}

absl::Status Spool::WriteInstances() {
  std::string text;
  if (!confirmed_) {
    for (const std::string& id : previous_) {
      absl::StrAppend(&text, absl::BytesToHexString(id), "\n");
    }
  }
  absl::StrAppend(&text, absl::BytesToHexString(instance_id_), "\n");
  const std::string path = folder_ + "/instance";
  const std::string fresh = path + ".tmp";
  const int fd = open(fresh.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return FromErrno(fresh, "open");
  absl::Status status = WriteAll(fd, fresh, text);
  if (status.ok() && fsync(fd) != 0) status = FromErrno(fresh, "sync");
  close(fd);
  ISOFLOP_RETURN_IF_ERROR(status);
  if (rename(fresh.c_str(), path.c_str()) != 0) return FromErrno(path, "rename");
  SyncFolder(folder_);
  return absl::OkStatus();
}

void Spool::ConfirmInstance() {
  if (confirmed_) return;
  confirmed_ = true;
  // When it fails, a successor names an instance more; harmless.
  (void)WriteInstances();
}

absl::StatusOr<std::unique_ptr<LeaseSpool>> Spool::Create(LeaseId lease) {
  const std::string stem = absl::StrCat(folder_, "/", lease.ToString());
  const int fd = open((stem + kLines).c_str(),
                      O_CREAT | O_EXCL | O_APPEND | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return FromErrno(stem + kLines, "create");
  SyncFolder(folder_);
  return std::unique_ptr<LeaseSpool>(new LeaseSpool(stem, fd, 0));
}

absl::Status Spool::ReadLeft() {
  std::map<LeaseId, std::string> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, error)) {
    const std::string name = entry.path().filename().string();
    for (const char* ending : {kLines, kPids}) {
      int64_t lease = 0;
      if (absl::EndsWith(name, ending) &&
          absl::SimpleAtoi(name.substr(0, name.size() - strlen(ending)), &lease) && lease > 0) {
        found[LeaseId(lease)] = absl::StrCat(folder_, "/", lease);
      }
    }
  }
  for (const auto& [lease, stem] : found) {
    const std::vector<std::string> lines = absl::StrSplit(ReadFile(stem + kPids), '\n');
    for (const std::string& line : lines) {
      if (absl::StartsWith(line, kMark)) {
        killed_processes_ += static_cast<int>(KillMarked(line.substr(strlen(kMark))).size());
        continue;
      }
      const std::vector<std::string> words = absl::StrSplit(line, ' ');
      ProcessNote note;
      if (words.size() == 3 && absl::SimpleAtoi(words[0], &note.pid) &&
          absl::SimpleAtoi(words[1], &note.start_ticks)) {
        note.boot_id = words[2];
        killed_processes_ += KillLeftGroup(note);
      }
    }
    const int fd =
        open((stem + kLines).c_str(), O_APPEND | O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return FromErrno(stem + kLines, "open");
    // A last line without its end was never sent: it goes.
    const std::string text = ReadFile(stem + kLines);
    const size_t end = text.rfind('\n');
    const int64_t size = end == std::string::npos ? 0 : static_cast<int64_t>(end) + 1;
    if (size != static_cast<int64_t>(text.size()) && ftruncate(fd, size) != 0) {
      return FromErrno(stem + kLines, "truncate");
    }
    left_.push_back({lease, std::unique_ptr<LeaseSpool>(new LeaseSpool(stem, fd, size))});
  }
  return absl::OkStatus();
}

}  // namespace isoflop
