#include "analysis/expression.h"

#include <cctype>
#include <cmath>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace isoflop {

// Recursive descent that emits postfix steps.
class ExpressionParser {
 public:
  explicit ExpressionParser(std::string text) : text_(std::move(text)) {}

  absl::StatusOr<Expression> Parse() {
    if (!Sum() || !AtEnd()) {
      return absl::InvalidArgumentError(absl::StrCat("'", text_, "': a number, a name or '(' was expected at character ",
                                                     at_ + 1));
    }
    return std::move(expression_);
  }

 private:
  static constexpr int kMaxDepth = 100;

  bool Sum() {
    if (!Product()) return false;
    for (char op = Peek(); op == '+' || op == '-'; op = Peek()) {
      ++at_;
      if (!Product()) return false;
      Emit(op);
    }
    return true;
  }

  bool Product() {
    if (!Power()) return false;
    for (char op = Peek(); op == '*' || op == '/'; op = Peek()) {
      ++at_;
      if (!Power()) return false;
      Emit(op);
    }
    return true;
  }

  bool Power() {
    if (++depth_ > kMaxDepth) return false;
    const bool negative = Peek() == '-';
    if (negative) ++at_;
    if (!Atom()) return false;
    if (Peek() == '^') {
      ++at_;
      if (!Power()) return false;
      Emit('^');
    }
    if (negative) Emit('~');
    --depth_;
    return true;
  }

  bool Atom() {
    const char c = Peek();
    if (c == '(') {
      ++at_;
      if (!Sum() || Peek() != ')') return false;
      ++at_;
      return true;
    }
    if (c == '"') {
      const size_t end = text_.find('"', at_ + 1);
      if (end == std::string::npos) return false;
      expression_.steps_.push_back({'$', 0, text_.substr(at_ + 1, end - at_ - 1)});
      at_ = end + 1;
      return true;
    }
    if (std::isdigit(static_cast<unsigned char>(c)) || c == '.') {
      char* end = nullptr;
      const double number = std::strtod(text_.c_str() + at_, &end);
      if (end == text_.c_str() + at_) return false;
      at_ = static_cast<size_t>(end - text_.c_str());
      expression_.steps_.push_back({'#', number, ""});
      return true;
    }
    size_t end = at_;
    while (end < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[end])) || text_[end] == '_')) ++end;
    if (end == at_) return false;
    expression_.steps_.push_back({'$', 0, text_.substr(at_, end - at_)});
    at_ = end;
    return true;
  }

  void Emit(char op) { expression_.steps_.push_back({op, 0, ""}); }
  char Peek() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool AtEnd() { return Peek() == '\0'; }

  const std::string text_;
  size_t at_ = 0;
  int depth_ = 0;
  Expression expression_;
};

absl::StatusOr<Expression> Expression::Parse(absl::string_view text) {
  return ExpressionParser(std::string(text)).Parse();
}

std::vector<std::string> Expression::Names() const {
  std::vector<std::string> names;
  for (const Step& step : steps_) {
    if (step.op == '$') names.push_back(step.name);
  }
  return names;
}

std::optional<double> Expression::Evaluate(
    const std::function<std::optional<double>(const std::string&)>& value_of) const {
  std::vector<double> stack;
  for (const Step& step : steps_) {
    if (step.op == '#') {
      stack.push_back(step.number);
      continue;
    }
    if (step.op == '$') {
      const std::optional<double> value = value_of(step.name);
      if (!value) return std::nullopt;
      stack.push_back(*value);
      continue;
    }
    if (step.op == '~') {
      stack.back() = -stack.back();
      continue;
    }
    const double right = stack.back();
    stack.pop_back();
    double& left = stack.back();
    switch (step.op) {
      case '+': left += right; break;
      case '-': left -= right; break;
      case '*': left *= right; break;
      case '/': left /= right; break;
      default: left = std::pow(left, right);
    }
  }
  return stack.back();
}

}  // namespace isoflop
