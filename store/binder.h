// Binds values to a statement's places in order, and runs it.
#ifndef ISOFLOP_STORE_BINDER_H_
#define ISOFLOP_STORE_BINDER_H_

#include <SQLiteCpp/Statement.h>

#include <cstdint>
#include <optional>
#include <string>

#include "store/time_text.h"

namespace isoflop {

// Throws SQLite::Exception; callers stand inside CatchSqlite.
class Binder {
 public:
  explicit Binder(SQLite::Statement& statement) : statement_(statement) {
    statement_.reset();
    statement_.clearBindings();
  }
  Binder& operator<<(int64_t value) { statement_.bind(++place_, value); return *this; }
  Binder& operator<<(int value) { return *this << static_cast<int64_t>(value); }
  Binder& operator<<(bool value) { return *this << static_cast<int64_t>(value); }
  Binder& operator<<(uint64_t value) { return *this << static_cast<int64_t>(value); }
  Binder& operator<<(double value) { statement_.bind(++place_, value); return *this; }
  Binder& operator<<(const std::string& value) { statement_.bind(++place_, value); return *this; }
  Binder& operator<<(const char* value) { return *this << std::string(value); }
  Binder& operator<<(absl::Time value) { return *this << TimeText(value); }
  Binder& operator<<(std::nullopt_t) { statement_.bind(++place_); return *this; }
  template <class T>
  Binder& operator<<(const std::optional<T>& value) {
    return value ? *this << *value : *this << std::nullopt;
  }
  // Runs it to its end and returns the rows it changed.
  int Run() {
    const int changed = statement_.exec();
    statement_.reset();
    return changed;
  }

 private:
  SQLite::Statement& statement_;
  int place_ = 0;
};

// An empty text is stored as NULL.
inline std::optional<std::string> NullIfEmpty(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional<std::string>(text);
}

}  // namespace isoflop

#endif  // ISOFLOP_STORE_BINDER_H_
