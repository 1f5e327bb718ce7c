// Arithmetic over named numbers: what `--derive tokens=flops/(6*params)` says.
//
//   sum     = product { ("+" | "-") product }
//   product = power { ("*" | "/") power }
//   power   = ["-"] atom ["^" power]
//   atom    = number | name | "double-quoted name" | "(" sum ")"
//
// Thread-safe once parsed.
#ifndef ISOFLOP_ANALYSIS_EXPRESSION_H_
#define ISOFLOP_ANALYSIS_EXPRESSION_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace isoflop {

class Expression {
 public:
  // InvalidArgument says what was expected at which character.
  static absl::StatusOr<Expression> Parse(absl::string_view text);

  // Every name in it, in order.
  std::vector<std::string> Names() const;

  // nullopt when a name has no value.
  std::optional<double> Evaluate(const std::function<std::optional<double>(const std::string&)>& value_of) const;

 private:
  friend class ExpressionParser;
  // In postfix order: a number, a name, or an operator on what stands before.
  struct Step {
    char op = 0;  // '#' number, '$' name, '~' negation, else + - * / ^
    double number = 0;
    std::string name;
  };
  std::vector<Step> steps_;
};

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_EXPRESSION_H_
