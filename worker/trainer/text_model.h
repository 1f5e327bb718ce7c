// A trained model as the text tools use it, of whatever family: scores of the next
// token, and losses of a text.
//
// No Torch here. Not thread-safe.
#ifndef ISOFLOP_WORKER_TRAINER_TEXT_MODEL_H_
#define ISOFLOP_WORKER_TRAINER_TEXT_MODEL_H_

#include <cstdint>
#include <span>
#include <vector>

namespace isoflop {

class TextModel {
 public:
  virtual ~TextModel() = default;

  // V: ids are in [0, V).
  virtual int64_t vocab_size() const = 0;
  // T: the most tokens that may be read between two restarts, and that a window of
  // LossesOf may have as inputs.
  virtual int64_t context_tokens() const = 0;

  // Forgets what was read.
  virtual void Restart() = 0;
  // ln p, up to a constant, of the V tokens behind `tokens` (one at least), which
  // follow all that were read since the last restart.
  virtual std::vector<double> Read(std::span<const int64_t> tokens) = 0;

  // Nats of the targets of `windows` windows of one length n + 1 that lie behind one
  // another in `tokens`: n a window, each token but its first given those before it in
  // the window.
  virtual std::vector<double> LossesOf(std::span<const int64_t> tokens, int64_t windows) = 0;
  // How many windows of `targets` targets LossesOf takes at once with advantage.
  virtual int64_t WindowsAtOnce(int64_t targets) const = 0;
};

// Reads a text of any length with a model of T tokens of context: when these are full,
// the newest T/2 are read again from the start, so each token is met with T/2 at least
// and the cost stays linear in the length.
class TextContext {
 public:
  // Keeps a reference; restarts the model.
  explicit TextContext(TextModel& model) : model_(model) { model_.Restart(); }

  // Scores of the token behind all that were appended.
  std::vector<double> Append(std::span<const int64_t> tokens);

 private:
  TextModel& model_;
  std::vector<int64_t> window_;  // read since the last restart
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_TEXT_MODEL_H_
