#include "worker/agent/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace isoflop {
namespace {

int OpenNew(const std::string& path) {
  return open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0644);
}

std::string ReadAt(const std::string& path, int64_t at, int64_t bytes) {
  std::string out(static_cast<size_t>(std::max<int64_t>(bytes, 0)), '\0');
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return "";
  const ssize_t got = pread(fd, out.data(), out.size(), at);
  close(fd);
  out.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return out;
}

}  // namespace

LogFile::LogFile(std::string path, int64_t max_bytes)
    : path_(std::move(path)), max_bytes_(max_bytes), fd_(OpenNew(path_)) {}

LogFile::~LogFile() {
  if (fd_ >= 0) close(fd_);
}

void LogFile::Append(absl::string_view text) {
  if (size_ - file_start_ + static_cast<int64_t>(text.size()) > max_bytes_ &&
      size_ > file_start_) {
    if (fd_ >= 0) close(fd_);
    rename(path_.c_str(), (path_ + ".1").c_str());
    rotated_start_ = std::exchange(file_start_, size_);
    fd_ = OpenNew(path_);
  }
  // At its own offset, so that text a full disk took none of leaves a hole and
  // not a shift.
  if (fd_ >= 0) (void)!pwrite(fd_, text.data(), text.size(), size_ - file_start_);
  size_ += static_cast<int64_t>(text.size());
  tail_.append(text.data(), text.size());
  if (tail_.size() > 2 * kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
}

std::string LogFile::LastLine() const {
  size_t end = tail_.find_last_not_of(" \t\r\n");
  if (end == std::string::npos) return "";
  size_t begin = tail_.find_last_of("\r\n", end);
  begin = begin == std::string::npos ? 0 : begin + 1;
  return tail_.substr(begin, end + 1 - begin);
}

std::string LogFile::Read(int64_t& offset, int64_t max_bytes) const {
  if (offset < 0) offset = std::max<int64_t>(0, size_ - max_bytes);
  offset = std::min(std::max(offset, rotated_start_), size_);
  if (offset >= file_start_) {
    return ReadAt(path_, offset - file_start_, std::min(max_bytes, size_ - offset));
  }
  return ReadAt(path_ + ".1", offset - rotated_start_, std::min(max_bytes, file_start_ - offset));
}

}  // namespace isoflop
