// What leaves the store whole: a row a trial, a row a loss point, the file
// itself.
#ifndef ISOFLOP_STORE_EXPORT_ROWS_H_
#define ISOFLOP_STORE_EXPORT_ROWS_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "store/query.h"
#include "study/ids.h"

namespace isoflop {

using RowSink = std::function<absl::Status(const std::vector<QueryValue>&)>;

// The columns of ExportTrials, in order: those of `trial_detail` that
// `isoflop export --format csv` has. "trial_id" is among them.
const std::vector<std::string>& TrialExportColumns();
// A row a trial of the study, by id. An error of `row` ends it and is returned.
absl::Status ExportTrials(const std::string& db_path, StudyId study, const RowSink& row);

// trial_id, attempt, step, tokens, flops, kind, loss_nats, lr, grad_norm,
// tokens_per_second.
const std::vector<std::string>& CurveExportColumns();
// A row a loss point of the study's curves, by trial, step and seq.
absl::Status ExportCurves(const std::string& db_path, StudyId study, const RowSink& row);

// A whole copy at `to` while everything runs on (VACUUM INTO). AlreadyExists:
// there is a file. ResourceExhausted: no space for it.
absl::Status CopyStore(const std::string& db_path, const std::string& to);

}  // namespace isoflop

#endif  // ISOFLOP_STORE_EXPORT_ROWS_H_
