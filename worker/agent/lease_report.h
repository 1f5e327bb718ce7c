// What is still to be told of one lease: numbered points, checkpoints, notes and
// the outcome, each spooled before it is told and told until it is known to be
// stored.
//
// Keeps at most 256 points in memory; the rest waits in the spool. Not
// thread-safe.
#ifndef ISOFLOP_WORKER_AGENT_LEASE_REPORT_H_
#define ISOFLOP_WORKER_AGENT_LEASE_REPORT_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/work_queue.pb.h"
#include "study/observation.h"
#include "worker/agent/spool.h"

namespace isoflop {

class LeaseReport {
 public:
  static constexpr size_t kMaxPointsInMemory = 256;
  // So many waiting points are news.
  static constexpr uint64_t kPointsAreNews = 128;

  explicit LeaseReport(std::unique_ptr<LeaseSpool> spool) : spool_(std::move(spool)) {}
  // What a predecessor left. A lease without an outcome gets `cut_short`. From a
  // line on that cannot be read nothing is kept.
  static absl::StatusOr<std::unique_ptr<LeaseReport>> Recover(std::unique_ptr<LeaseSpool> spool,
                                                              const wire::Outcome& cut_short);

  // Each spools first. While the disk refuses, items wait in memory in their
  // order and nothing newer is told; Retry tries again. InvalidArgument: a step
  // or token count that falls; the point was dropped.
  absl::Status AddPoint(const LossPoint& point);
  void AddCheckpoint(const wire::Checkpoint& checkpoint);
  void AddNote(std::string note);
  void SetOutcome(const wire::Outcome& outcome);
  // False: the disk still refuses; `status()` says why.
  bool Retry();
  bool is_stuck() const { return !unspooled_.empty(); }
  const absl::Status& status() const { return status_; }
  absl::Status Sync() { return spool_->Sync(); }

  // Puts into `held` what is to be told in request `number`: at most
  // `max_points` points, and the outcome (phase ENDED) once all points fit.
  // Returns whether `held` brings news.
  bool Fill(wire::HeldLease& held, int max_points, bool with_outcome, uint64_t number);
  // Something waits that should be told at once.
  bool HasUrgentNews() const;
  bool HasPoints() const { return durable_seq_ < last_seq_; }
  bool HasManyPoints() const { return last_seq_ - durable_seq_ >= kPointsAreNews; }
  // OK to request `number`, and what the coordinator has.
  void Acknowledge(uint64_t number);
  void SetDurable(uint64_t seq);
  bool has_outcome() const { return has_outcome_; }
  // Whether Recover found lines that could not be read.
  bool lost_tail() const { return lost_tail_; }
  uint64_t durable_seq() const { return durable_seq_; }
  uint64_t last_seq() const { return last_seq_; }

  LeaseSpool& spool() { return *spool_; }

 private:
  template <class T>
  struct Told {
    T item;
    uint64_t number = 0;  // of the newest request that carried it
  };
  void Put(wire::HeldLease part);
  // Into memory, once it is spooled at `offset`.
  void Take(const wire::HeldLease& part, int64_t offset);
  void Refill();

  const std::unique_ptr<LeaseSpool> spool_;
  std::deque<wire::HeldLease> unspooled_;
  absl::Status status_;

  // Points first_seq_ ... are in memory; those up to durable_seq_ are stored,
  // those up to last_seq_ spooled. When memory does not reach last_seq_, the
  // next point's line is at refill_offset_.
  std::deque<wire::LossPoint> points_;
  uint64_t first_seq_ = 1;
  uint64_t durable_seq_ = 0;
  uint64_t last_seq_ = 0;
  uint64_t next_seq_ = 1;  // to be given out
  int64_t refill_offset_ = 0;
  int64_t last_step_ = 0;
  int64_t last_tokens_ = 0;

  std::vector<Told<wire::Checkpoint>> checkpoints_;
  std::vector<Told<std::string>> notes_;
  bool has_outcome_ = false;
  bool lost_tail_ = false;
  wire::Outcome outcome_;
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_AGENT_LEASE_REPORT_H_
