// The way out of a call that streams: takes messages from any thread, writes
// them one at a time, and ends when told or when the client goes away.
//
// Thread-safe. Owns itself: made by Start, gone when gRPC is done with it and
// nobody holds the pointer any more.
#ifndef ISOFLOP_COORDINATOR_STREAM_WRITER_H_
#define ISOFLOP_COORDINATOR_STREAM_WRITER_H_

#include <deque>
#include <functional>
#include <memory>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "grpcpp/support/server_callback.h"
#include "grpcpp/support/status.h"

namespace isoflop {

template <class T>
class StreamWriter : public grpc::ServerWriteReactor<T>,
                     public std::enable_shared_from_this<StreamWriter<T>> {
 public:
  // Messages that may wait for a slow client; beyond, the call is ended.
  static constexpr size_t kMaxWaiting = 100'000;

  // `cancelled` runs once when the call is over, however it ended.
  static std::shared_ptr<StreamWriter> Start() {
    auto writer = std::shared_ptr<StreamWriter>(new StreamWriter());
    writer->self_ = writer;
    return writer;
  }
  void WhenOver(std::function<void()> over) {
    bool is_over;
    {
      absl::MutexLock lock(&mu_);
      is_over = is_over_;
      if (!is_over) over_ = std::move(over);
    }
    if (is_over) over();
  }

  void Push(T message) {
    absl::MutexLock lock(&mu_);
    if (ended_ || is_over_) return;
    if (waiting_.size() >= kMaxWaiting) {
      ended_ = true;
      status_ = grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                             "the reader is too slow; cure: ask again from the last one");
      waiting_.clear();
      MaybeFinish();
      return;
    }
    waiting_.push_back(std::move(message));
    MaybeWrite();
  }

  // After what was pushed.
  void End(grpc::Status status) {
    absl::MutexLock lock(&mu_);
    if (ended_) return;
    ended_ = true;
    status_ = std::move(status);
    MaybeFinish();
  }

  // Blocks until fewer than `most` wait; false: the call is over.
  bool WaitForRoom(size_t most) {
    absl::MutexLock lock(&mu_);
    const auto has_room = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return waiting_.size() < most || ended_ || is_over_;
    };
    mu_.Await(absl::Condition(&has_room));
    return !ended_ && !is_over_;
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mu_);
    is_writing_ = false;
    waiting_.pop_front();
    if (!ok) {
      waiting_.clear();
      ended_ = true;
    }
    MaybeWrite();
    MaybeFinish();
  }
  void OnCancel() override {
    absl::MutexLock lock(&mu_);
    if (!ended_) status_ = grpc::Status::CANCELLED;
    ended_ = true;
    if (waiting_.size() > 1) waiting_.erase(waiting_.begin() + (is_writing_ ? 1 : 0), waiting_.end());
    MaybeFinish();
  }
  void OnDone() override {
    std::function<void()> over;
    std::shared_ptr<StreamWriter> self;
    {
      absl::MutexLock lock(&mu_);
      is_over_ = true;
      over = std::exchange(over_, nullptr);
      self = std::move(self_);
    }
    if (over) over();
  }

 private:
  StreamWriter() = default;

  void MaybeWrite() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (is_writing_ || finished_ || waiting_.empty()) return;
    is_writing_ = true;
    this->StartWrite(&waiting_.front());
  }
  void MaybeFinish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (!ended_ || finished_ || is_writing_ || !waiting_.empty()) return;
    finished_ = true;
    this->Finish(status_);
  }

  absl::Mutex mu_;
  std::deque<T> waiting_ ABSL_GUARDED_BY(mu_);  // the front one is being written
  bool is_writing_ ABSL_GUARDED_BY(mu_) = false;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  bool is_over_ ABSL_GUARDED_BY(mu_) = false;
  grpc::Status status_ ABSL_GUARDED_BY(mu_);
  std::function<void()> over_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<StreamWriter> self_ ABSL_GUARDED_BY(mu_);
};

}  // namespace isoflop

#endif  // ISOFLOP_COORDINATOR_STREAM_WRITER_H_
