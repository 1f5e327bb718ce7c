#include "coordinator/checkpoint_table.h"

#include <utility>

namespace isoflop {

void CheckpointTable::Add(CheckpointRecord record) {
  if (record.state == CheckpointState::kCondemned) {
    condemned_[record.store_id].emplace(record.id, std::move(record));
    return;
  }
  const auto key = std::make_pair(record.step, record.id);
  live_[record.trial].insert_or_assign(key, std::move(record));
}

std::optional<CheckpointRecord> CheckpointTable::Newest(TrialId trial, int64_t at_most_step,
                                                        const Reaches& reaches) const {
  const auto found = live_.find(trial);
  if (found == live_.end()) return std::nullopt;
  for (auto it = found->second.rbegin(); it != found->second.rend(); ++it) {
    const CheckpointRecord& record = it->second;
    if (record.step <= at_most_step && record.state == CheckpointState::kCommitted &&
        reaches(record.store_id)) {
      return record;
    }
  }
  return std::nullopt;
}

std::optional<CheckpointRecord> CheckpointTable::At(TrialId trial, int64_t step,
                                                    const Reaches& reaches) const {
  const auto newest = Newest(trial, step, [&](const std::string& store) { return reaches(store); });
  if (newest && newest->step == step) return newest;
  return std::nullopt;
}

int64_t CheckpointTable::NewestStep(TrialId trial) const {
  const auto newest =
      Newest(trial, INT64_MAX, [](const std::string&) { return true; });
  return newest ? newest->step : 0;
}

std::optional<CheckpointId> CheckpointTable::MarkBad(TrialId trial, const std::string& path) {
  const auto found = live_.find(trial);
  if (found == live_.end()) return std::nullopt;
  for (auto& [key, record] : found->second) {
    if (record.path == path && record.state == CheckpointState::kCommitted) {
      record.state = CheckpointState::kBad;
      return record.id;
    }
  }
  return std::nullopt;
}

std::vector<CheckpointId> CheckpointTable::Condemn(TrialId trial,
                                                   const std::set<int64_t>& keep_steps,
                                                   bool keep_one) {
  std::vector<CheckpointId> condemned;
  const auto found = live_.find(trial);
  if (found == live_.end()) return condemned;
  auto& records = found->second;
  // The two newest sound ones stay: the one before is used when the newest
  // turns out torn.
  int kept = 0;
  const int keep_newest = keep_one ? 1 : 2;
  std::vector<std::pair<int64_t, CheckpointId>> victims;
  for (auto it = records.rbegin(); it != records.rend(); ++it) {
    const CheckpointRecord& record = it->second;
    if (record.state == CheckpointState::kCommitted) {
      if (kept < keep_newest) {
        ++kept;
        continue;
      }
      if (keep_steps.count(record.step) != 0) continue;
    }
    victims.push_back(it->first);
  }
  for (auto key = victims.rbegin(); key != victims.rend(); ++key) {
    const auto it = records.find(*key);
    CheckpointRecord record = std::move(it->second);
    records.erase(it);
    record.state = CheckpointState::kCondemned;
    condemned.push_back(record.id);
    condemned_[record.store_id].emplace(record.id, std::move(record));
  }
  return condemned;
}

std::vector<CheckpointRecord> CheckpointTable::Expendable(const std::string& store_id,
                                                          size_t limit) const {
  std::vector<CheckpointRecord> out;
  const auto found = condemned_.find(store_id);
  if (found == condemned_.end()) return out;
  for (const auto& [id, record] : found->second) {
    if (out.size() == limit) break;
    out.push_back(record);
  }
  return out;
}

std::vector<CheckpointId> CheckpointTable::Deleted(const std::string& store_id,
                                                   const std::vector<CheckpointId>& ids) {
  std::vector<CheckpointId> out;
  const auto found = condemned_.find(store_id);
  if (found == condemned_.end()) return out;
  for (const CheckpointId id : ids) {
    if (found->second.erase(id) != 0) out.push_back(id);
  }
  return out;
}

}  // namespace isoflop
