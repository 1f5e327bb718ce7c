#include "tests/store/fault_vfs.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <new>
#include <utility>

namespace isoflop {
namespace {

// What SQLite sees as a file: ours first, the system's behind it.
struct Handle {
  sqlite3_file base;
  FaultVfs* vfs;
  std::string* path;
  sqlite3_file* real;
};

Handle* Of(sqlite3_file* file) { return reinterpret_cast<Handle*>(file); }
sqlite3_file* Real(sqlite3_file* file) { return Of(file)->real; }

int Close(sqlite3_file* file) {
  const int code = Real(file)->pMethods->xClose(Real(file));
  delete Of(file)->path;
  return code;
}
int Read(sqlite3_file* file, void* data, int bytes, sqlite3_int64 offset) {
  return Real(file)->pMethods->xRead(Real(file), data, bytes, offset);
}
int Write(sqlite3_file* file, const void* data, int bytes, sqlite3_int64 offset) {
  const int code = Of(file)->vfs->OnWrite(*Of(file)->path, data, bytes, offset);
  return code != SQLITE_OK ? code : Real(file)->pMethods->xWrite(Real(file), data, bytes, offset);
}
int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  const int code = Of(file)->vfs->OnTruncate(*Of(file)->path, size);
  return code != SQLITE_OK ? code : Real(file)->pMethods->xTruncate(Real(file), size);
}
int Sync(sqlite3_file* file, int) { return Of(file)->vfs->OnSync(*Of(file)->path); }
int FileSize(sqlite3_file* file, sqlite3_int64* size) { return Real(file)->pMethods->xFileSize(Real(file), size); }
int Lock(sqlite3_file* file, int level) { return Real(file)->pMethods->xLock(Real(file), level); }
int Unlock(sqlite3_file* file, int level) { return Real(file)->pMethods->xUnlock(Real(file), level); }
int CheckReservedLock(sqlite3_file* file, int* out) { return Real(file)->pMethods->xCheckReservedLock(Real(file), out); }
int FileControl(sqlite3_file* file, int op, void* argument) {
  // The system's hints would write past us.
  if (op == SQLITE_FCNTL_SIZE_HINT || op == SQLITE_FCNTL_CHUNK_SIZE || op == SQLITE_FCNTL_MMAP_SIZE) return SQLITE_NOTFOUND;
  return Real(file)->pMethods->xFileControl(Real(file), op, argument);
}
int SectorSize(sqlite3_file*) { return 4096; }
int DeviceCharacteristics(sqlite3_file*) { return 0; }
int ShmMap(sqlite3_file* file, int page, int size, int extend, void volatile** out) {
  return Real(file)->pMethods->xShmMap(Real(file), page, size, extend, out);
}
int ShmLock(sqlite3_file* file, int offset, int n, int flags) { return Real(file)->pMethods->xShmLock(Real(file), offset, n, flags); }
void ShmBarrier(sqlite3_file* file) { Real(file)->pMethods->xShmBarrier(Real(file)); }
int ShmUnmap(sqlite3_file* file, int remove) { return Real(file)->pMethods->xShmUnmap(Real(file), remove); }

constexpr sqlite3_io_methods kMethods = {
    2, Close, Read, Write, Truncate, Sync, FileSize, Lock, Unlock, CheckReservedLock, FileControl, SectorSize,
    DeviceCharacteristics, ShmMap, ShmLock, ShmBarrier, ShmUnmap, nullptr, nullptr};

sqlite3_vfs* System() {
  static sqlite3_vfs* const kSystem = sqlite3_vfs_find("unix");
  return kSystem;
}

int Open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out_flags) {
  Handle* handle = Of(file);
  std::memset(handle, 0, sizeof(Handle));
  handle->real = reinterpret_cast<sqlite3_file*>(handle + 1);
  const int code = System()->xOpen(System(), path, handle->real, flags, out_flags);
  if (code != SQLITE_OK) return code;
  handle->vfs = static_cast<FaultVfs*>(vfs->pAppData);
  handle->path = new std::string(path == nullptr ? "temporary" : path);
  handle->base.pMethods = &kMethods;
  return SQLITE_OK;
}

int Delete(sqlite3_vfs* vfs, const char* path, int sync_folder) {
  static_cast<FaultVfs*>(vfs->pAppData)->OnDelete(path);
  return System()->xDelete(System(), path, sync_folder);
}

std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

FaultVfs::FaultVfs(std::string name) : name_(std::move(name)) {
  vfs_ = *System();
  vfs_.pNext = nullptr;
  vfs_.zName = name_.c_str();
  vfs_.pAppData = this;
  vfs_.szOsFile = static_cast<int>(sizeof(Handle)) + System()->szOsFile;
  vfs_.xOpen = Open;
  vfs_.xDelete = Delete;
  sqlite3_vfs_register(&vfs_, 0);
}

FaultVfs::~FaultVfs() { sqlite3_vfs_unregister(&vfs_); }

void FaultVfs::RefuseBetween(int64_t first, int64_t last, int code) {
  const std::lock_guard lock(mu_);
  refuse_first_ = first;
  refuse_last_ = last;
  refuse_code_ = code;
}

void FaultVfs::CutAt(int64_t at, uint64_t seed) {
  const std::lock_guard lock(mu_);
  cut_at_ = at;
  random_.seed(seed);
}

int64_t FaultVfs::operations() const {
  const std::lock_guard lock(mu_);
  return operations_;
}

bool FaultVfs::is_cut() const {
  const std::lock_guard lock(mu_);
  return cut_;
}

void FaultVfs::Apply(const Change& change, size_t bytes, std::string& content) {
  if (change.truncate_to >= 0) {
    content.resize(static_cast<size_t>(change.truncate_to));
    return;
  }
  const size_t offset = static_cast<size_t>(change.offset);
  if (content.size() < offset + bytes) content.resize(offset + bytes);
  content.replace(offset, bytes, change.data, 0, bytes);
}

int FaultVfs::Count() {
  ++operations_;
  if (cut_at_ != 0 && operations_ == cut_at_) Freeze();
  return operations_ >= refuse_first_ && operations_ <= refuse_last_ ? refuse_code_ : SQLITE_OK;
}

void FaultVfs::Freeze() {
  cut_ = true;
  for (auto& [path, file] : files_) {
    // A disk reorders what was not synced: each change may have reached it, or
    // half of it.
    for (const Change& change : file.pending) {
      switch (random_() % 3) {
        case 0: break;
        case 1: Apply(change, change.data.size(), file.durable); break;
        case 2: Apply(change, change.data.size() / 2, file.durable); break;
      }
    }
    file.pending.clear();
  }
}

int FaultVfs::OnWrite(const std::string& path, const void* data, int bytes, int64_t offset) {
  const std::lock_guard lock(mu_);
  if (const int code = Count(); code != SQLITE_OK) return code;
  if (!cut_) {
    files_[path].pending.push_back({offset, std::string(static_cast<const char*>(data), static_cast<size_t>(bytes))});
  }
  return SQLITE_OK;
}

int FaultVfs::OnTruncate(const std::string& path, int64_t size) {
  const std::lock_guard lock(mu_);
  if (const int code = Count(); code != SQLITE_OK) return code;
  if (!cut_) files_[path].pending.push_back({0, "", size});
  return SQLITE_OK;
}

int FaultVfs::OnSync(const std::string& path) {
  const std::lock_guard lock(mu_);
  if (const int code = Count(); code != SQLITE_OK) return code;
  if (cut_ || (ignore_wal_syncs_ && path.ends_with("-wal"))) return SQLITE_OK;
  File& file = files_[path];
  for (const Change& change : file.pending) Apply(change, change.data.size(), file.durable);
  file.pending.clear();
  return SQLITE_OK;
}

void FaultVfs::OnDelete(const std::string& path) {
  const std::lock_guard lock(mu_);
  if (!cut_) files_.erase(path);
}

void FaultVfs::WriteImage(const std::string& folder) const {
  const std::lock_guard lock(mu_);
  for (const auto& [path, file] : files_) {
    std::ofstream(folder + "/" + BaseName(path), std::ios::binary) << file.durable;
  }
}

}  // namespace isoflop
