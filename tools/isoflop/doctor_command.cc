// isoflop doctor: is everything in its place on this machine?
#include <CLI/CLI.hpp>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "proto/token_file.h"
#include "store/schema.h"
#include "store/store_check.h"
#include "store/store_lock.h"
#include "study/format.h"
#include "study/status_macros.h"
#include "tools/isoflop/commands.h"
#include "tools/isoflop/machine.h"
#include "tools/isoflop/study_admin_client.h"
#include "tools/isoflop/study_source.h"
#include "tools/isoflop/terminal.h"
#include "tools/isoflop/version.h"

extern char** environ;

namespace isoflop {
namespace {

using Json = nlohmann::json;

constexpr absl::Duration kTrainerTime = absl::Seconds(60);

struct DoctorFlags {
  bool migrate = false;
};

enum class Health { kOk, kNote, kWarning, kFailed };

const char* HealthText(Health health) {
  switch (health) {
    case Health::kOk: return "ok";
    case Health::kNote: return "note";
    case Health::kWarning: return "warning";
    case Health::kFailed: return "failed";
  }
  return "failed";
}

struct Finding {
  std::string what;  // "store", "disk", ...
  Health health = Health::kOk;
  std::string detail;
  std::string cure;
};

Finding FromError(const std::string& what, Health health, const absl::Status& status) {
  const ErrorParts parts = SplitError(status);
  return {what, health, parts.where.empty() ? parts.message : absl::StrCat(parts.where, ": ", parts.message),
          parts.cure};
}

std::string FolderOf(const std::string& path) {
  const std::string folder = std::filesystem::absolute(path).parent_path().string();
  return folder.empty() ? "/" : folder;
}

// The nearest folder above that is there.
std::string ExistingFolder(std::string folder) {
  while (!std::filesystem::is_directory(folder) && folder != "/") folder = FolderOf(folder);
  return folder;
}

Finding CheckTheStore(const std::string& db) {
  const absl::StatusOr<StoreFacts> facts = CheckStore(db);
  if (absl::IsNotFound(facts.status())) return FromError("store", Health::kNote, facts.status());
  if (!facts.ok()) return FromError("store", Health::kFailed, facts.status());
  if (facts->verdict != "ok") {
    return {"store", Health::kFailed, absl::StrCat(db, ": damaged: ", facts->verdict),
            "restore a copy made by `isoflop export --format sqlite`"};
  }
  if (facts->schema_version > kSchemaVersion) {
    return FromError("store", Health::kFailed, CheckSchemaVersion(facts->schema_version, db));
  }
  if (facts->schema_version < kSchemaVersion) {
    return {"store", Health::kFailed,
            absl::StrCat(db, ": schema version ", facts->schema_version, ", this program writes ", kSchemaVersion),
            "isoflop doctor --migrate; a copy of before stays beside it"};
  }
  const bool is_wal = facts->journal_mode == "wal";
  return {"store", is_wal ? Health::kOk : Health::kWarning,
          absl::StrCat(db, " (", is_wal ? "WAL" : facts->journal_mode, ", ",
                       FormatBytes(static_cast<double>(facts->bytes + facts->wal_bytes)), ", schema ",
                       facts->schema_version, ", ", facts->studies == 1 ? "1 study" : absl::StrCat(facts->studies, " studies"), ", ",
                       Plural(facts->trials, "trial"), ", ", Plural(facts->loss_points, "loss point"), ")"),
          is_wal ? "" : "the next writer sets WAL again"};
}

Finding CheckDisk(const std::string& db) {
  const std::string folder = ExistingFolder(FolderOf(db));
  if (const absl::Status status = CheckFilesystem(folder); !status.ok()) {
    return FromError("disk", Health::kFailed, status);
  }
  const absl::StatusOr<DiskSpace> space = DiskSpaceOf(folder);
  if (!space.ok()) return FromError("disk", Health::kFailed, space.status());
  if (access(folder.c_str(), W_OK) != 0) {
    return {"disk", Health::kFailed, absl::StrCat(folder, ": cannot be written"), "another ISOFLOP_HOME, or --db"};
  }
  const std::string detail = absl::StrCat(FormatBytes(static_cast<double>(space->free_bytes)), " of ",
                                          FormatBytes(static_cast<double>(space->total_bytes)), " free at ", folder);
  if (space->is_low()) return {"disk", Health::kWarning, detail, "free space: a full disk stops new leases"};
  return {"disk", Health::kOk, detail, ""};
}

// Standard output and error of `program option`, or why there is none.
absl::StatusOr<std::string> OutputOf(const std::string& program, const std::string& option) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return absl::ResourceExhaustedError("no pipe\ncure: ulimit -n");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
  std::string first = program, second = option;
  char* argv[] = {first.data(), second.data(), nullptr};
  pid_t child = 0;
  const int refused = posix_spawn(&child, program.c_str(), &actions, nullptr, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  if (refused != 0) {
    close(ends[0]);
    return absl::NotFoundError(absl::StrCat(program, ": cannot be started\ncure: tools/setup.sh"));
  }
  std::string out;
  const absl::Time deadline = absl::Now() + kTrainerTime;
  bool in_time = true;
  while (true) {
    pollfd wait{ends[0], POLLIN, 0};
    const int64_t left = absl::ToInt64Milliseconds(deadline - absl::Now());
    if (left <= 0 || poll(&wait, 1, static_cast<int>(left)) == 0) {
      in_time = false;
      kill(child, SIGKILL);
      break;
    }
    char part[4096];
    const ssize_t got = read(ends[0], part, sizeof(part));
    if (got <= 0) break;
    out.append(part, static_cast<size_t>(got));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (!in_time) return absl::DeadlineExceededError(absl::StrCat(program, ": says nothing\ncure: run it by hand"));
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return absl::UnavailableError(absl::StrCat(program, " ", option, ": ends with ", out.empty() ? "nothing to say" : out,
                                               "\ncure: tools/setup.sh, then build anew"));
  }
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

Finding CheckTrainer() {
  const std::string trainer = FindTrainer();
  if (trainer.empty()) {
    return {"trainer", Health::kWarning, "no isoflop-trainer beside this program or on PATH",
            "build with LibTorch (tools/setup.sh), or give studies a `trainer: {command}`"};
  }
  const absl::StatusOr<std::string> version = OutputOf(trainer, "--version");
  if (!version.ok()) return FromError("trainer", Health::kFailed, version.status());
  return {"trainer", Health::kOk, absl::StrCat(trainer, "; ", absl::StrJoin(absl::StrSplit(*version, '\n'), "; ")), ""};
}

Finding CheckSlots() {
  const std::vector<std::string> gpus = GpuNames();
  const int cores = CountCores();
  if (gpus.empty()) return {"slots", Health::kOk, absl::StrCat(Plural(cores, "CPU core"), ", no GPU"), ""};
  return {"slots", Health::kOk, absl::StrCat(Plural(cores, "CPU core"), ", ", absl::StrJoin(gpus, ", ")), ""};
}

Finding CheckCoordinator(const Environment& environment) {
  const std::string address = ServerAddress(environment);
  absl::StatusOr<std::unique_ptr<StudyAdminClient>> client = ConnectToServer(environment);
  absl::Status status = client.status();
  std::string health;
  if (client.ok()) {
    const absl::StatusOr<wire::Study> study = (*client)->GetStudy({});
    status = study.status();
    // No study yet is an answer too.
    if (absl::IsNotFound(status)) status = absl::OkStatus();
    if (study.ok()) health = study->health();
  }
  if (!status.ok()) {
    const bool nobody_named_it = environment.server_is_default && absl::IsUnavailable(status);
    return FromError("coordinator", nobody_named_it ? Health::kNote : Health::kFailed, status);
  }
  if (!health.empty()) return {"coordinator", Health::kFailed, absl::StrCat(address, ": ", health), "free space on its disk"};
  return {"coordinator", Health::kOk, absl::StrCat("answers on ", address), ""};
}

Finding CheckToken(const Environment& environment) {
  const absl::StatusOr<std::vector<std::string>> tokens = ReadTokenFile(environment.token_file);
  if (absl::IsNotFound(tokens.status())) {
    return {"token", Health::kNote, absl::StrCat(environment.token_file, ": none; only a TCP address needs one"), ""};
  }
  if (!tokens.ok()) return FromError("token", Health::kFailed, tokens.status());
  return {"token", Health::kOk, absl::StrCat(environment.token_file, " (0600)"), ""};
}

absl::StatusOr<int> RunDoctor(const DoctorFlags& flags, const Context& context) {
  const Environment& environment = context.environment;
  if (flags.migrate) {
    ISOFLOP_ASSIGN_OR_RETURN(const StoreFacts before, CheckStore(environment.db));
    if (before.schema_version < kSchemaVersion && before.verdict == "ok") {
      ISOFLOP_RETURN_IF_ERROR(MigrateStore(environment.db));
      if (!context.flags.quiet && !context.flags.json) {
        std::printf("migrated %s from schema %d to %d; before: %s.v%d\n", environment.db.c_str(), before.schema_version,
                    kSchemaVersion, environment.db.c_str(), before.schema_version);
      }
    }
  }
  const std::vector<Finding> findings = {{"isoflop", Health::kOk, VersionText(), ""},
                                         CheckTheStore(environment.db),
                                         CheckDisk(environment.db),
                                         CheckTrainer(),
                                         CheckSlots(),
                                         CheckCoordinator(environment),
                                         CheckToken(environment)};
  bool failed = false;
  for (const Finding& finding : findings) failed = failed || finding.health == Health::kFailed;
  if (context.flags.json) {
    Json list = Json::array();
    for (const Finding& finding : findings) {
      list.push_back({{"what", finding.what},
                      {"health", HealthText(finding.health)},
                      {"detail", finding.detail},
                      {"cure", finding.cure.empty() ? Json() : Json(finding.cure)}});
    }
    std::printf("%s\n", Json{{"schema", "isoflop.doctor/1"}, {"ok", !failed}, {"checks", list}}
                            .dump(-1, ' ', false, Json::error_handler_t::replace)
                            .c_str());
    return failed ? kExitFailed : kExitOk;
  }
  for (const Finding& finding : findings) {
    if (context.flags.quiet && (finding.health == Health::kOk || finding.health == Health::kNote)) continue;
    std::string mark = HealthText(finding.health);
    mark.resize(8, ' ');
    std::string what = finding.what;
    what.resize(12, ' ');
    const std::string colored = finding.health == Health::kFailed    ? Red(mark)
                                : finding.health == Health::kWarning ? Yellow(mark)
                                : finding.health == Health::kOk      ? Green(mark)
                                                                     : Dim(mark);
    std::printf("%s %s %s\n", what.c_str(), colored.c_str(), finding.detail.c_str());
    if (!finding.cure.empty()) std::printf("%*s cure: %s\n", 21, "", finding.cure.c_str());
  }
  return failed ? kExitFailed : kExitOk;
}

}  // namespace

CommandBody AddDoctorCommand(CLI::App& app) {
  auto flags = std::make_shared<DoctorFlags>();
  app.add_flag("--migrate", flags->migrate, "bring an older store up to today's schema; a copy of before stays beside it");
  return [flags](Context& context) { return RunDoctor(*flags, context); };
}

}  // namespace isoflop
