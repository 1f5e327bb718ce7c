// A disk that refuses, and a disk that loses its power: an SQLite VFS over the
// system's.
//
// It counts writes and syncs. From a given one on it can refuse them, or the
// power is cut: an image keeps what was synced before that moment, and a random
// part of what was not, the last write of it torn. Real syncs are left out: the
// image knows better, and the tests are quick.
//
// Thread-safe.
#ifndef ISOFLOP_TESTS_STORE_FAULT_VFS_H_
#define ISOFLOP_TESTS_STORE_FAULT_VFS_H_

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <vector>

namespace isoflop {

class FaultVfs {
 public:
  explicit FaultVfs(std::string name);
  ~FaultVfs();
  FaultVfs(const FaultVfs&) = delete;

  const std::string& name() const { return name_; }

  // Refuses write and sync number `first` up to `last` (from 1) with `code`.
  void RefuseBetween(int64_t first, int64_t last, int code);
  void RefuseNothing() { RefuseBetween(0, 0, SQLITE_OK); }
  // The power is cut at write or sync number `at`.
  void CutAt(int64_t at, uint64_t seed);
  // Syncs of the WAL do nothing, as with synchronous=NORMAL.
  void set_ignore_wal_syncs(bool ignore) { ignore_wal_syncs_ = ignore; }

  int64_t operations() const;
  bool is_cut() const;
  // Writes what the disk held at the cut into `folder`, files by their names.
  void WriteImage(const std::string& folder) const;

  // For the methods of a file.
  int OnWrite(const std::string& path, const void* data, int bytes, int64_t offset);
  int OnTruncate(const std::string& path, int64_t size);
  int OnSync(const std::string& path);
  // Names of files are taken to be durable at once.
  void OnDelete(const std::string& path);

 private:
  struct Change {
    int64_t offset;  // of a write
    std::string data;
    int64_t truncate_to = -1;
  };
  struct File {
    std::string durable;
    std::vector<Change> pending;
  };

  static void Apply(const Change& change, size_t bytes, std::string& content);
  // SQLITE_OK or the refusal; at the cut the image is frozen.
  int Count();
  void Freeze();

  const std::string name_;
  sqlite3_vfs vfs_{};

  mutable std::mutex mu_;
  std::map<std::string, File> files_;
  int64_t operations_ = 0;
  int64_t refuse_first_ = 0, refuse_last_ = 0;
  int refuse_code_ = SQLITE_OK;
  int64_t cut_at_ = 0;
  std::mt19937_64 random_;
  bool cut_ = false;
  bool ignore_wal_syncs_ = false;
};

}  // namespace isoflop

#endif  // ISOFLOP_TESTS_STORE_FAULT_VFS_H_
