#include "worker/trainer/text_loss.h"

#include <algorithm>
#include <cmath>

namespace isoflop {

double TextLoss::perplexity() const { return std::exp(loss_nats); }

TextLoss LossOfText(TextModel& model, std::span<const int64_t> tokens, std::span<const uint16_t> token_bytes,
                    const std::function<void(int64_t)>& progress) {
  const auto last = static_cast<int64_t>(tokens.size()) - 1;  // of the targets
  const int64_t most = model.context_tokens();
  const int64_t stride = std::max<int64_t>(1, most / 2);
  TextLoss sums;
  double nats = 0, byte_nats = 0;
  // Targets first ... end - 1, with `losses` of the targets before `end`.
  const auto add = [&](int64_t first, int64_t end, std::span<const double> losses) {
    for (int64_t i = first; i < end; ++i) {
      const double loss = losses[losses.size() - static_cast<size_t>(end - i)];
      nats += loss;
      ++sums.tokens;
      if (token_bytes.empty()) continue;
      const int64_t bytes = token_bytes[static_cast<size_t>(tokens[static_cast<size_t>(i)])];
      sums.bytes += bytes;
      if (bytes > 0) byte_nats += loss;
    }
    if (progress) progress(sums.tokens);
  };
  const int64_t head = std::min(most, last);
  add(1, head + 1, model.LossesOf(tokens.subspan(0, static_cast<size_t>(head) + 1), 1));
  std::vector<int64_t> batch;
  for (int64_t done = head; done < last;) {
    const int64_t at_once = model.WindowsAtOnce(most);
    batch.clear();
    std::vector<int64_t> firsts, ends;
    for (int64_t from = done; from < last && static_cast<int64_t>(ends.size()) < at_once;) {
      const int64_t upto = std::min(from + stride, last);
      const auto window = tokens.subspan(static_cast<size_t>(upto - most), static_cast<size_t>(most) + 1);
      batch.insert(batch.end(), window.begin(), window.end());
      firsts.push_back(from + 1);
      ends.push_back(upto + 1);
      from = upto;
    }
    const std::vector<double> losses = model.LossesOf(batch, static_cast<int64_t>(ends.size()));
    for (size_t w = 0; w < ends.size(); ++w) {
      add(firsts[w], ends[w], std::span<const double>(losses).subspan(w * static_cast<size_t>(most), static_cast<size_t>(most)));
    }
    done = ends.back() - 1;
  }
  sums.loss_nats = nats / static_cast<double>(sums.tokens);
  if (sums.bytes > 0) sums.bits_per_byte = byte_nats / (std::log(2.0) * static_cast<double>(sums.bytes));
  return sums;
}

}  // namespace isoflop
