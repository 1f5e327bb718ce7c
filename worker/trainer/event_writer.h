// The lines that a trainer tells its agent: one JSON object a line
// (docs/trainer_contract.md). Fields are named like the columns that store them.
//
// No Torch here.
#ifndef ISOFLOP_WORKER_TRAINER_EVENT_WRITER_H_
#define ISOFLOP_WORKER_TRAINER_EVENT_WRITER_H_

#include <concepts>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

namespace isoflop {

// One line in the making:
//   events.Write(TrainerEvent("step").Add("step", 10).Add("loss_nats", 3.2));
// Not thread-safe.
class TrainerEvent {
 public:
  // `name` is one of started, probe, step, eval, checkpoint, final, error, note.
  explicit TrainerEvent(const std::string& name);

  // Appends a field; a name is given once. A double that is not finite becomes
  // null (JSON has no NaN); text that is not UTF-8 gets U+FFFD in its place.
  TrainerEvent& Add(const std::string& field, double value);
  TrainerEvent& Add(const std::string& field, bool value);
  TrainerEvent& Add(const std::string& field, const std::string& text);
  TrainerEvent& Add(const std::string& field, const char* text) { return Add(field, std::string(text)); }
  template <std::integral Integer>
    requires(!std::same_as<Integer, bool>)
  TrainerEvent& Add(const std::string& field, Integer value) {
    return AddInteger(field, static_cast<int64_t>(value));
  }
  // Nothing is appended for nullopt.
  template <class Value>
  TrainerEvent& Add(const std::string& field, const std::optional<Value>& value) {
    return value ? Add(field, *value) : *this;
  }

  const std::string& name() const { return name_; }
  // The object, without a newline.
  std::string Json() const { return body_ + "}"; }

 private:
  TrainerEvent& AddInteger(const std::string& field, int64_t value);
  void AddKey(const std::string& field);

  std::string name_;
  std::string body_;
};

struct EventWriterOptions {
  // Where lines go; not closed. Standard output if not set.
  std::optional<int> fd;
  // Rank 0 says everything, other ranks only `error`, with their rank.
  int rank = 0;
  // Called with a sentence when a line cannot be written: the reader has gone
  // (EPIPE: a rank ends with its agent), or the file it goes to is full. Not
  // set: prints the sentence on standard error and ends the process at once
  // with exit code 75. It may return; the writer is silent from then on.
  std::function<void(const std::string& why)> on_lost;
};

// Writes whole lines, unbuffered, in the order of the calls.
//
// Thread-safe. Blocks while the pipe is full.
class EventWriter {
 public:
  static constexpr size_t kMaxLineBytes = 64 * 1024;  // newline included

  // If `options.fd` names a closed descriptor (torchrun closes them), lines go
  // to standard output behind the prefix "ISOFLOP ". SIGPIPE must be ignored
  // (StopSignals::Install does).
  explicit EventWriter(EventWriterOptions options);
  EventWriter(const EventWriter&) = delete;
  EventWriter& operator=(const EventWriter&) = delete;

  // A line longer than kMaxLineBytes is left out and an `error` of kind bug
  // written in its place; Error and Note cut their text instead.
  void Write(const TrainerEvent& event);

  // {"event":"note","text":...}; also a sign of life in a long phase.
  void Note(const std::string& text);

  // {"event":"error","kind":...,"message":...,"rank":...}, from any rank. `kind`:
  // config data oom diverged comm io checkpoint bug. The message says where,
  // what, cure.
  void Error(const std::string& kind, const std::string& message, std::optional<int64_t> step = std::nullopt);

 private:
  void WriteLine(const std::string& json);

  // Constant after construction.
  EventWriterOptions options_;
  int fd_;
  std::string prefix_;

  // Held while a line is written.
  std::mutex mu_;
  bool lost_ = false;
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_EVENT_WRITER_H_
