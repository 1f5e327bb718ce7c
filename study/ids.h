// Ids are types: swapped arguments do not compile.
#ifndef ISOFLOP_STUDY_IDS_H_
#define ISOFLOP_STUDY_IDS_H_

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace isoflop {

// A row's number in the store. 0 is no id.
template <class Tag>
class Id {
 public:
  constexpr Id() = default;
  constexpr explicit Id(int64_t value) : value_(value) {}
  constexpr int64_t value() const { return value_; }
  constexpr bool is_set() const { return value_ != 0; }
  std::string ToString() const { return std::to_string(value_); }
  friend constexpr auto operator<=>(Id, Id) = default;
  template <class H>
  friend H AbslHashValue(H h, Id id) { return H::combine(std::move(h), id.value_); }

 private:
  int64_t value_ = 0;
};

using StudyId = Id<struct StudyIdTag>;
using TrialId = Id<struct TrialIdTag>;
// The fencing token: never used again, an ended lease never comes back.
using LeaseId = Id<struct LeaseIdTag>;
using WorkerId = Id<struct WorkerIdTag>;
using CheckpointId = Id<struct CheckpointIdTag>;

}  // namespace isoflop

template <class Tag>
struct std::hash<isoflop::Id<Tag>> {
  size_t operator()(isoflop::Id<Tag> id) const noexcept { return std::hash<int64_t>()(id.value()); }
};

#endif  // ISOFLOP_STUDY_IDS_H_
