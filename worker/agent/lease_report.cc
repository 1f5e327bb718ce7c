#include "worker/agent/lease_report.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/convert.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

constexpr int kMaxCheckpointsPerRequest = 16;
constexpr int kMaxNotesPerRequest = 8;

}  // namespace

absl::StatusOr<std::unique_ptr<LeaseReport>> LeaseReport::Recover(
    std::unique_ptr<LeaseSpool> spool, const wire::Outcome& cut_short) {
  auto report = std::make_unique<LeaseReport>(std::move(spool));
  int64_t offset = 0;
  while (true) {
    // Line by line, for the offsets.
    int64_t begin = offset;
    const auto read = report->spool_->Read(offset, 1);
    if (absl::IsDataLoss(read.status())) {
      // A power cut took what was not synced. What was told of it is stored by
      // now or lost with it: the lease has ended either way.
      ISOFLOP_RETURN_IF_ERROR(report->spool_->TruncateTo(offset));
      offset = begin;
      report->lost_tail_ = true;
      continue;
    }
    ISOFLOP_RETURN_IF_ERROR(read.status());
    const std::vector<wire::HeldLease>& parts = *read;
    if (parts.empty()) break;
    // Lines without points come with the point after them: their offset serves
    // for refilling all the same.
    for (const wire::HeldLease& part : parts) {
      if (part.points_size() > 0) {
        const wire::LossPoint& last = part.points(part.points_size() - 1);
        report->last_step_ = last.step();
        report->last_tokens_ = last.tokens();
        report->next_seq_ = part.first_seq() + static_cast<uint64_t>(part.points_size());
      }
      report->Take(part, begin);
    }
  }
  if (!report->has_outcome_) report->SetOutcome(cut_short);
  return report;
}

void LeaseReport::Take(const wire::HeldLease& part, int64_t offset) {
  for (int i = 0; i < part.points_size(); ++i) {
    const uint64_t seq = part.first_seq() + static_cast<uint64_t>(i);
    const bool memory_is_whole = first_seq_ + points_.size() == seq;
    if (memory_is_whole && points_.size() < kMaxPointsInMemory) {
      points_.push_back(part.points(i));
    } else if (memory_is_whole) {
      refill_offset_ = offset;
    }
    last_seq_ = seq;
  }
  for (const wire::Checkpoint& checkpoint : part.checkpoints()) checkpoints_.push_back({checkpoint});
  for (const std::string& note : part.notes()) notes_.push_back({note});
  if (part.has_outcome()) {
    has_outcome_ = true;
    outcome_ = part.outcome();
  }
}

void LeaseReport::Put(wire::HeldLease part) {
  unspooled_.push_back(std::move(part));
  if (unspooled_.size() == 1) Retry();
}

bool LeaseReport::Retry() {
  while (!unspooled_.empty()) {
    int64_t offset = 0;
    status_ = spool_->Append(unspooled_.front(), &offset);
    if (!status_.ok()) return false;
    Take(unspooled_.front(), offset);
    unspooled_.pop_front();
  }
  return true;
}

absl::Status LeaseReport::AddPoint(const LossPoint& point) {
  if (point.step < last_step_ || point.tokens < last_tokens_) {
    return absl::InvalidArgumentError(absl::StrCat("step ", point.step, ", tokens ", point.tokens,
                                                   ": fall below ", last_step_, ", ",
                                                   last_tokens_));
  }
  last_step_ = point.step;
  last_tokens_ = point.tokens;
  wire::HeldLease part;
  part.set_first_seq(next_seq_++);
  *part.add_points() = ToWire(point);
  Put(std::move(part));
  return absl::OkStatus();
}

void LeaseReport::AddCheckpoint(const wire::Checkpoint& checkpoint) {
  wire::HeldLease part;
  *part.add_checkpoints() = checkpoint;
  Put(std::move(part));
}

void LeaseReport::AddNote(std::string note) {
  wire::HeldLease part;
  part.add_notes(std::move(note));
  Put(std::move(part));
}

void LeaseReport::SetOutcome(const wire::Outcome& outcome) {
  wire::HeldLease part;
  part.set_phase(wire::LEASE_PHASE_ENDED);
  *part.mutable_outcome() = outcome;
  Put(std::move(part));
}

void LeaseReport::Refill() {
  const uint64_t next = first_seq_ + points_.size();
  if (next > last_seq_ || points_.size() >= kMaxPointsInMemory / 2) return;
  // After a jump of what is stored, lines that are not needed any more come first.
  const size_t before = points_.size();
  while (points_.size() == before) {
    int64_t offset = refill_offset_;
    const auto parts = spool_->Read(offset, static_cast<int>(kMaxPointsInMemory - before));
    if (!parts.ok()) status_ = parts.status();
    if (!parts.ok() || parts->empty()) return;
    for (const wire::HeldLease& part : *parts) {
      for (int i = 0; i < part.points_size(); ++i) {
        const uint64_t seq = part.first_seq() + static_cast<uint64_t>(i);
        if (seq == first_seq_ + points_.size()) points_.push_back(part.points(i));
      }
    }
    refill_offset_ = offset;
  }
}

bool LeaseReport::Fill(wire::HeldLease& held, int max_points, bool with_outcome,
                       uint64_t number) {
  Refill();
  bool news = false;
  uint64_t told_to = durable_seq_;
  if (max_points > 0 && HasPoints()) {
    held.set_first_seq(first_seq_);
    const size_t count = std::min(points_.size(), static_cast<size_t>(max_points));
    for (size_t i = 0; i < count; ++i) *held.add_points() = points_[i];
    told_to = first_seq_ + count - 1;
    news = count > 0;
  }
  for (int i = 0; i < kMaxCheckpointsPerRequest && i < static_cast<int>(checkpoints_.size()); ++i) {
    *held.add_checkpoints() = checkpoints_[i].item;
    checkpoints_[i].number = number;
    news = true;
  }
  for (int i = 0; i < kMaxNotesPerRequest && i < static_cast<int>(notes_.size()); ++i) {
    held.add_notes(notes_[i].item);
    notes_[i].number = number;
    news = true;
  }
  // All that remains must be in this request.
  if (has_outcome_ && with_outcome && unspooled_.empty() && told_to == last_seq_ &&
      static_cast<int>(checkpoints_.size()) <= kMaxCheckpointsPerRequest &&
      static_cast<int>(notes_.size()) <= kMaxNotesPerRequest) {
    held.set_phase(wire::LEASE_PHASE_ENDED);
    *held.mutable_outcome() = outcome_;
    news = true;
  }
  return news;
}

bool LeaseReport::HasUrgentNews() const {
  return has_outcome_ || !checkpoints_.empty() || !notes_.empty() || HasManyPoints();
}

void LeaseReport::Acknowledge(uint64_t number) {
  std::erase_if(checkpoints_, [&](const auto& told) { return told.number == number; });
  std::erase_if(notes_, [&](const auto& told) { return told.number == number; });
}

void LeaseReport::SetDurable(uint64_t seq) {
  // A coordinator cannot have what was never spooled here.
  durable_seq_ = std::max(durable_seq_, std::min(seq, last_seq_));
  while (!points_.empty() && first_seq_ <= durable_seq_) {
    points_.pop_front();
    ++first_seq_;
  }
  if (points_.empty() && first_seq_ <= durable_seq_) {
    // Memory was behind; the spool's lines up to here are skipped on Refill.
    first_seq_ = durable_seq_ + 1;
  }
}

}  // namespace isoflop
