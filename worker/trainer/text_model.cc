#include "worker/trainer/text_model.h"

#include <algorithm>

namespace isoflop {

std::vector<double> TextContext::Append(std::span<const int64_t> tokens) {
  window_.insert(window_.end(), tokens.begin(), tokens.end());
  const auto most = static_cast<size_t>(model_.context_tokens());
  if (window_.size() <= most) return model_.Read(tokens);
  const size_t kept = std::max<size_t>(1, most / 2);
  window_.erase(window_.begin(), window_.end() - static_cast<std::ptrdiff_t>(kept));
  model_.Restart();
  return model_.Read(window_);
}

}  // namespace isoflop
