#include "store/store_writer.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "store/database.h"
#include "store/schema.h"
#include "store/sqlite_status.h"
#include "store/store_check.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

// A start that cannot even write its WAL is refused at once.
constexpr int64_t kLeastFreeBytes = int64_t{16} << 20;

// Codes that mean: the same may go through later.
bool MayGoThroughLater(const absl::Status& status) {
  return status.code() == absl::StatusCode::kResourceExhausted || status.code() == absl::StatusCode::kDataLoss ||
         status.code() == absl::StatusCode::kDeadlineExceeded;
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

absl::StatusOr<std::unique_ptr<StoreWriter>> StoreWriter::Open(const std::string& db_path,
                                                               const StoreWriterOptions& options) {
  if (!options.force_filesystem) ISOFLOP_RETURN_IF_ERROR(CheckFilesystem(FolderOf(db_path)));
  ISOFLOP_ASSIGN_OR_RETURN(const DiskSpace space, DiskSpaceOf(FolderOf(db_path)));
  if (space.free_bytes < kLeastFreeBytes) {
    return absl::ResourceExhaustedError(absl::StrCat("store: ", FolderOf(db_path), " has only ",
                                                     space.free_bytes >> 20,
                                                     " MiB free\ncure: free space on its disk, or another --db"));
  }
  ISOFLOP_ASSIGN_OR_RETURN(StoreLock lock, StoreLock::Take(db_path));
  // The results of a person, readable by that person alone.
  const mode_t mask = umask(077);
  absl::StatusOr<std::unique_ptr<SQLite::Database>> db = OpenForWriting(db_path, options.vfs);
  umask(mask);
  ISOFLOP_RETURN_IF_ERROR(db.status());
  std::unique_ptr<StoreWriter> writer(new StoreWriter(db_path, options, std::move(lock), *std::move(db)));
  ISOFLOP_RETURN_IF_ERROR(writer->Prepare());
  writer->thread_ = std::thread([raw = writer.get()] { raw->Run(); });
  return writer;
}

StoreWriter::StoreWriter(std::string path, StoreWriterOptions options, StoreLock lock,
                         std::unique_ptr<SQLite::Database> db)
    : path_(std::move(path)),
      options_(std::move(options)),
      lock_(std::move(lock)),
      db_(std::move(db)),
      rows_(std::make_unique<RowWriter>(db_.get())) {}

StoreWriter::~StoreWriter() { Close(); }

absl::Status StoreWriter::Prepare() {
  ISOFLOP_ASSIGN_OR_RETURN(const Verdict verdict, QuickCheck(*db_, path_));
  if (verdict.text != "ok") {
    return absl::DataLossError(absl::StrCat(path_, ": the store is damaged: ", verdict.text,
                                            "\ncure: restore a copy made by `isoflop export --format sqlite`"));
  }
  ISOFLOP_ASSIGN_OR_RETURN(const int version, SchemaVersion(*db_));
  ISOFLOP_RETURN_IF_ERROR(CheckSchemaVersion(version, path_));
  if (version < kSchemaVersion) {
    if (version > 0) {
      const std::string copy = absl::StrCat(path_, ".v", version);
      if (access(copy.c_str(), F_OK) != 0) {
        ISOFLOP_RETURN_IF_ERROR(CatchSqlite(copy, [&] {
          SQLite::Statement vacuum(*db_, "VACUUM INTO ?");
          vacuum.bind(1, copy);
          vacuum.exec();
        }));
      }
    }
    ISOFLOP_RETURN_IF_ERROR(Migrate(*db_, version));
  }
  return CatchSqlite(path_, [&] {
    SQLite::Transaction transaction(*db_, SQLite::TransactionBehavior::IMMEDIATE);
    db_->exec("UPDATE meta SET value = value + 1 WHERE key = 'coordinator_epoch'");
    epoch_ = std::atoll(db_->execAndGet("SELECT value FROM meta WHERE key = 'coordinator_epoch'").getText());
    store_id_ = db_->execAndGet("SELECT value FROM meta WHERE key = 'store_id'").getString();
    transaction.commit();
  });
}

uint64_t StoreWriter::Append(std::vector<Operation> batch) {
  const std::lock_guard lock(mu_);
  ISOFLOP_CHECK(!closing_, "appended to a store that was closed");
  queued_operations_ += batch.size();
  queue_.push_back({++appended_, std::move(batch)});
  changed_.notify_one();
  return appended_;
}

bool StoreWriter::HasRoom(size_t operations) const {
  const std::lock_guard lock(mu_);
  return queued_operations_ + operations <= options_.max_queued;
}

void StoreWriter::WhenDurable(uint64_t number, std::function<void()> then) {
  const std::lock_guard lock(mu_);
  if (closing_ && !thread_.joinable()) return;
  waiting_.emplace_back(number, std::move(then));
  changed_.notify_one();
}

std::string StoreWriter::Health() const {
  const std::lock_guard lock(mu_);
  return health_;
}

uint64_t StoreWriter::commits() const {
  const std::lock_guard lock(mu_);
  return commits_;
}

absl::Status StoreWriter::Commit(std::deque<Batch>& batches) {
  absl::Status status = CatchSqlite(path_, [&] { db_->exec("BEGIN IMMEDIATE"); });
  for (Batch& batch : batches) {
    for (Operation& operation : batch.operations) {
      if (status.ok()) status = operation(*rows_);
    }
  }
  if (status.ok()) status = CatchSqlite(path_, [&] { db_->exec("COMMIT"); });
  if (!status.ok() && sqlite3_get_autocommit(db_->getHandle()) == 0) {
    // SQLite rolls back by itself after some errors.
    const absl::Status ignored = CatchSqlite(path_, [&] { db_->exec("ROLLBACK"); });
    (void)ignored;
  }
  return status;
}

void StoreWriter::Run() {
  std::unique_lock lock(mu_);
  bool refused = false;
  while (true) {
    const auto ready = [this] { return !waiting_.empty() && waiting_.front().first <= committed_; };
    if (refused && !closing_) {
      changed_.wait_for(lock, std::chrono::nanoseconds(absl::ToInt64Nanoseconds(options_.retry)),
                        [&] { return closing_ || ready(); });
    } else {
      changed_.wait(lock, [&] { return closing_ || !queue_.empty() || ready(); });
    }
    // As many batches as one commit takes; at least one.
    std::deque<Batch> batches;
    size_t operations = 0;
    while (!queue_.empty() &&
           (batches.empty() || operations + queue_.front().operations.size() <= options_.max_commit)) {
      operations += queue_.front().operations.size();
      batches.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
    if (!batches.empty()) {
      lock.unlock();
      const absl::Status status = Commit(batches);
      if (!status.ok() && !MayGoThroughLater(status)) {
        std::fprintf(stderr, "isoflop: store: a commit was refused, which is a bug: %s\n", status.ToString().c_str());
        std::abort();
      }
      lock.lock();
      refused = !status.ok();
      if (status.ok()) {
        committed_ = batches.back().number;
        queued_operations_ -= operations;
        ++commits_;
        health_.clear();
      } else {
        health_ = std::string(status.message());
        while (!batches.empty()) {
          queue_.push_front(std::move(batches.back()));
          batches.pop_back();
        }
      }
    }
    while (ready()) {
      std::function<void()> then = std::move(waiting_.front().second);
      waiting_.pop_front();
      lock.unlock();
      then();
      lock.lock();
    }
    if (closing_ && (queue_.empty() || refused) && !ready()) break;
  }
  queue_.clear();
  waiting_.clear();
}

void StoreWriter::Close() {
  {
    const std::lock_guard lock(mu_);
    closing_ = true;
    changed_.notify_one();
  }
  if (!thread_.joinable()) return;
  thread_.join();
  rows_.reset();
  TruncateWal(*db_);
  db_.reset();
  lock_.reset();
}

}  // namespace isoflop
