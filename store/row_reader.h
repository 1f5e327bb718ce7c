// Rows of `trial` and `lease` as structs: the columns and the reading of them,
// side by side.
#ifndef ISOFLOP_STORE_ROW_READER_H_
#define ISOFLOP_STORE_ROW_READER_H_

#include <string>

#include "absl/status/statusor.h"
#include "store/rows.h"

namespace SQLite {
class Statement;
}

namespace isoflop {

// "id, study_id, ..." of `trial`, as ReadTrial takes them.
extern const char kTrialColumns[];
// DataLoss: a spec that does not read. Throws SQLite::Exception.
absl::StatusOr<StoredTrial> ReadTrial(SQLite::Statement& row);

// SELECT ... FROM lease, to be followed by WHERE and ORDER BY.
extern const char kLeaseSelect[];
StoredLease ReadLease(SQLite::Statement& row);

}  // namespace isoflop

#endif  // ISOFLOP_STORE_ROW_READER_H_
