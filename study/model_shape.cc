#include "study/model_shape.h"

namespace isoflop {

std::string ToString(Family family) {
  switch (family) {
    case Family::kTransformer: return "transformer";
    case Family::kLstm: return "lstm";
    case Family::kNgram: return "ngram";
    case Family::kCustom: return "custom";
  }
  return "?";
}

std::string ToString(Norm norm) {
  switch (norm) {
    case Norm::kRmsNorm: return "rmsnorm";
    case Norm::kLayerNorm: return "layernorm";
  }
  return "?";
}

std::string ToString(Position position) {
  switch (position) {
    case Position::kRope: return "rope";
    case Position::kLearned: return "learned";
    case Position::kSinusoidal: return "sinusoidal";
  }
  return "?";
}

std::string ToString(Activation activation) {
  switch (activation) {
    case Activation::kGelu: return "gelu";
    case Activation::kSwiglu: return "swiglu";
    case Activation::kRelu2: return "relu2";
  }
  return "?";
}

std::string ToString(Init init) {
  switch (init) {
    case Init::kGpt2: return "gpt2";
    case Init::kNanochat: return "nanochat";
    case Init::kMup: return "mup";
  }
  return "?";
}

std::string ToString(Smoothing smoothing) {
  switch (smoothing) {
    case Smoothing::kAddK: return "add_k";
    case Smoothing::kAbsoluteDiscount: return "absolute_discount";
    case Smoothing::kKneserNey: return "kneser_ney";
  }
  return "?";
}

}  // namespace isoflop
