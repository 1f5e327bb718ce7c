// The one writer of a store: a thread that commits numbered batches in order,
// as many at once as wait (group commit).
//
// A disk that is full or refuses: nothing is acknowledged, the batches are kept
// and tried again; Health() says why. A commit that a constraint refuses is a
// bug of ours and ends the process with the values.
//
// Thread-safe. Append and WhenDurable never block on the disk.
#ifndef ISOFLOP_STORE_STORE_WRITER_H_
#define ISOFLOP_STORE_STORE_WRITER_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "store/row_writer.h"
#include "store/store_lock.h"

namespace isoflop {

struct StoreWriterOptions {
  bool force_filesystem = false;
  // Between attempts while the disk refuses.
  absl::Duration retry = absl::Seconds(5);
  // Operations that may wait (protocol: 65,536), and that one commit takes.
  size_t max_queued = 65'536;
  size_t max_commit = 4'096;
  // An SQLite VFS, for tests; empty: the system's.
  std::string vfs;
};

class StoreWriter {
 public:
  // Writes rows; called again after a rollback, so it must be idempotent.
  using Operation = std::function<absl::Status(RowWriter&)>;

  // Takes the lock, checks file system, integrity and version, migrates (after
  // a copy to `<db>.v<old>`), raises the epoch and starts the thread.
  // FailedPrecondition: another process holds it, or a newer schema. DataLoss:
  // the file is damaged. ResourceExhausted: the disk refuses.
  static absl::StatusOr<std::unique_ptr<StoreWriter>> Open(const std::string& db_path,
                                                           const StoreWriterOptions& options = {});
  ~StoreWriter();

  const std::string& store_id() const { return store_id_; }
  // Committed +1 at each Open.
  int64_t epoch() const { return epoch_; }
  const std::string& path() const { return path_; }

  // Takes `batch` for one commit and returns its number; they rise by one.
  uint64_t Append(std::vector<Operation> batch);
  bool HasRoom(size_t operations) const;
  // Runs `then` on the writer's thread once batch `number` is committed, in the
  // order of the calls; what Close drops never runs.
  void WhenDurable(uint64_t number, std::function<void()> then);
  // Empty when commits go through.
  std::string Health() const;
  uint64_t commits() const;

  // Commits what can be committed, runs what waits for that, ends the thread,
  // truncates the WAL and lets the lock go. A second call does nothing.
  void Close();

 private:
  struct Batch {
    uint64_t number;
    std::vector<Operation> operations;
  };

  StoreWriter(std::string path, StoreWriterOptions options, StoreLock lock,
              std::unique_ptr<SQLite::Database> db);
  absl::Status Prepare();
  void Run();
  absl::Status Commit(std::deque<Batch>& batches);

  // Constant after Open.
  const std::string path_;
  const StoreWriterOptions options_;
  std::string store_id_;
  int64_t epoch_ = 0;

  // Used by the thread alone, once it runs.
  std::optional<StoreLock> lock_;
  std::unique_ptr<SQLite::Database> db_;
  std::unique_ptr<RowWriter> rows_;

  mutable std::mutex mu_;
  std::condition_variable changed_;
  // Guarded by mu_.
  std::deque<Batch> queue_;
  std::deque<std::pair<uint64_t, std::function<void()>>> waiting_;
  size_t queued_operations_ = 0;
  uint64_t appended_ = 0;
  uint64_t committed_ = 0;
  uint64_t commits_ = 0;
  std::string health_;
  bool closing_ = false;
  std::thread thread_;
};

}  // namespace isoflop

#endif  // ISOFLOP_STORE_STORE_WRITER_H_
