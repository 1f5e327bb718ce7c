// The text forms of an enum, read back: one list of values a type, used by the
// YAML and by the trial's JSON. The writing side is each type's ToString.
#ifndef ISOFLOP_STUDY_ENUM_TEXT_H_
#define ISOFLOP_STUDY_ENUM_TEXT_H_

#include <optional>
#include <string>
#include <vector>

#include "study/model_shape.h"
#include "study/trial_spec.h"

namespace isoflop {

// Every value of a type, in the order of its declaration.
template <class Enum>
struct EnumValues;

template <>
struct EnumValues<Family> {
  static std::vector<Family> All() {
    return {Family::kTransformer, Family::kLstm, Family::kNgram, Family::kCustom};
  }
};
template <>
struct EnumValues<Smoothing> {
  static std::vector<Smoothing> All() {
    return {Smoothing::kAddK, Smoothing::kAbsoluteDiscount, Smoothing::kKneserNey};
  }
};
template <>
struct EnumValues<Norm> {
  static std::vector<Norm> All() { return {Norm::kRmsNorm, Norm::kLayerNorm}; }
};
template <>
struct EnumValues<Position> {
  static std::vector<Position> All() { return {Position::kRope, Position::kLearned, Position::kSinusoidal}; }
};
template <>
struct EnumValues<Activation> {
  static std::vector<Activation> All() { return {Activation::kGelu, Activation::kSwiglu, Activation::kRelu2}; }
};
template <>
struct EnumValues<Init> {
  static std::vector<Init> All() { return {Init::kGpt2, Init::kNanochat, Init::kMup}; }
};
template <>
struct EnumValues<Precision> {
  static std::vector<Precision> All() { return {Precision::kFp32, Precision::kBf16}; }
};
template <>
struct EnumValues<ScheduleKind> {
  static std::vector<ScheduleKind> All() {
    return {ScheduleKind::kWsd, ScheduleKind::kCosine, ScheduleKind::kConstant};
  }
};
template <>
struct EnumValues<DecayShape> {
  static std::vector<DecayShape> All() { return {DecayShape::kLinear, DecayShape::kSqrt}; }
};
template <>
struct EnumValues<Launch> {
  static std::vector<Launch> All() { return {Launch::kPerSlot, Launch::kOnce}; }
};

// The value whose ToString is `text`; nullopt when there is none.
template <class Enum>
std::optional<Enum> ParseEnum(const std::string& text) {
  for (const Enum value : EnumValues<Enum>::All()) {
    if (ToString(value) == text) return value;
  }
  return std::nullopt;
}

// The texts of all values, for "one of" and "did you mean".
template <class Enum>
std::vector<std::string> EnumTexts() {
  std::vector<std::string> texts;
  for (const Enum value : EnumValues<Enum>::All()) texts.push_back(ToString(value));
  return texts;
}

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_ENUM_TEXT_H_
