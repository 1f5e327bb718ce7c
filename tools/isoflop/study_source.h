// Where the commands find a study: at a coordinator, or in the store when none
// listens and nobody named one.
#ifndef ISOFLOP_TOOLS_ISOFLOP_STUDY_SOURCE_H_
#define ISOFLOP_TOOLS_ISOFLOP_STUDY_SOURCE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/study_admin.pb.h"
#include "tools/isoflop/command.h"
#include "tools/isoflop/study_admin_client.h"

namespace isoflop {

// The server that was named, else the socket on which a coordinator of the
// store at environment.db listens.
std::string ServerAddress(const Environment& environment);

// To ServerAddress.
absl::StatusOr<std::unique_ptr<StudyAdminClient>> ConnectToServer(const Environment& environment);

// Nobody listens and nobody named a server: the store answers instead.
bool MayReadStore(const Environment& environment, const absl::Status& status);

// `text` is a study's name, or a YAML that states it; empty stays empty (the
// newest study). NotFound, InvalidArgument: the file.
absl::StatusOr<std::string> StudyNameOf(const std::string& text);

// A study, all its trials, and who told.
struct StudyView {
  wire::Study study;
  std::vector<wire::Trial> trials;
  bool is_live = false;  // a coordinator told it
};

// NotFound with did-you-mean. Unavailable: the server that was named is not
// there.
absl::StatusOr<StudyView> FindStudyView(const Environment& environment, const std::string& name);

// The same from the store at environment.db: what was committed, so a leased
// trial stands where its last stored point was.
absl::StatusOr<StudyView> ReadStudyView(const Environment& environment, const std::string& name);

// One trial with its study's name. NotFound.
absl::StatusOr<wire::Trial> FindTrialView(const Environment& environment, int64_t trial);

// History, oldest first; all of it that fits `request` (follow is not heeded).
absl::StatusOr<std::vector<wire::Event>> ReadHistory(const Environment& environment,
                                                     const wire::WatchRequest& request);

}  // namespace isoflop

#endif  // ISOFLOP_TOOLS_ISOFLOP_STUDY_SOURCE_H_
