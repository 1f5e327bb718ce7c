// What an attempt's ranks print: a file of at most 16 MiB and the one before it,
// and the last lines in memory.
//
// Offsets count from the first byte ever written. A disk that is full loses
// log text, never the attempt. Not thread-safe.
#ifndef ISOFLOP_WORKER_AGENT_LOG_FILE_H_
#define ISOFLOP_WORKER_AGENT_LOG_FILE_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace isoflop {

class LogFile {
 public:
  static constexpr int64_t kMaxBytes = 16 * 1024 * 1024;
  static constexpr size_t kTailBytes = 16 * 1024;

  // Starts `path` anew; "<path>.1" is what was rotated out. `max_bytes` is
  // smaller in tests only.
  explicit LogFile(std::string path, int64_t max_bytes = kMaxBytes);
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  void Append(absl::string_view text);

  int64_t size() const { return size_; }
  // The last kTailBytes.
  const std::string& tail() const { return tail_; }
  // The last line that is not blank.
  std::string LastLine() const;
  // At most `max_bytes` from `offset`, which moves up to the oldest byte that
  // is still kept. Below 0: the last `max_bytes`.
  std::string Read(int64_t& offset, int64_t max_bytes) const;

 private:
  // Constant after construction.
  const std::string path_;
  const int64_t max_bytes_;

  int fd_ = -1;
  int64_t size_ = 0;
  int64_t file_start_ = 0;      // offset of the first byte of path_
  int64_t rotated_start_ = 0;   // of path_.1
  std::string tail_;
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_AGENT_LOG_FILE_H_
