#include "tools/isoflop/environment.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace isoflop {
namespace {

namespace fs = std::filesystem;

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string FirstSet(std::initializer_list<std::string> candidates) {
  for (const std::string& candidate : candidates) {
    if (!candidate.empty()) return candidate;
  }
  return "";
}

}  // namespace

absl::StatusOr<Environment> ReadEnvironment(const std::string& db_flag, const std::string& server_flag) {
  Environment environment;
  environment.home = Variable("ISOFLOP_HOME");
  if (environment.home.empty() && !Variable("XDG_DATA_HOME").empty()) {
    environment.home = Variable("XDG_DATA_HOME") + "/isoflop";
  }
  if (environment.home.empty()) {
    const std::string home = Variable("HOME");
    if (home.empty()) {
      return absl::InvalidArgumentError(
          "environment: neither ISOFLOP_HOME nor HOME is set\ncure: export ISOFLOP_HOME=<folder for the store>");
    }
    environment.home = home + "/.local/share/isoflop";
  }
  std::error_code error;
  environment.home = fs::absolute(environment.home, error).lexically_normal().string();
  environment.db = FirstSet({db_flag, Variable("ISOFLOP_DB"), environment.home + "/isoflop.db"});
  const std::string named_server = FirstSet({server_flag, Variable("ISOFLOP_SERVER")});
  environment.server_is_default = named_server.empty();
  environment.server =
      named_server.empty() ? absl::StrCat("unix:", environment.default_socket()) : named_server;
  environment.token_file = FirstSet({Variable("ISOFLOP_TOKEN_FILE"), environment.home + "/token"});
  environment.checkpoints = environment.home + "/checkpoints";
  environment.datasets = environment.home + "/datasets";
  environment.spool = environment.home + "/spool";
  return environment;
}

absl::Status MakePrivateFolder(const std::string& folder) {
  std::error_code error;
  if (fs::is_directory(folder, error)) return absl::OkStatus();
  fs::create_directories(folder, error);
  if (error) {
    return absl::PermissionDeniedError(
        absl::StrCat(folder, ": cannot be made: ", error.message(), "\ncure: another ISOFLOP_HOME"));
  }
  fs::permissions(folder, fs::perms::owner_all, error);
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadWholeFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    return absl::NotFoundError(absl::StrCat(path, ": cannot be read: ", std::strerror(errno), "\ncure: check the path"));
  }
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

absl::Status WriteWholeFile(const std::string& path, const std::string& content) {
  const std::string temporary = absl::StrCat(path, ".tmp.", getpid());
  {
    std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
    out << content;
    out.flush();
    if (!out) {
      const std::string why = std::strerror(errno);
      std::remove(temporary.c_str());
      return absl::ResourceExhaustedError(
          absl::StrCat(path, ": cannot be written: ", why, "\ncure: another -o, or free space"));
    }
  }
  std::error_code error;
  fs::rename(temporary, path, error);
  if (error) return absl::InternalError(absl::StrCat(path, ": cannot be renamed: ", error.message()));
  return absl::OkStatus();
}

std::string ProgramFolder() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  return error ? "." : self.parent_path().string();
}

std::string FindTrainer() {
  const fs::path here = ProgramFolder();
  std::error_code error;
  for (const fs::path& candidate :
       {here / "isoflop-trainer", here / "../../worker/trainer/isoflop-trainer"}) {
    if (fs::exists(candidate, error)) return fs::weakly_canonical(candidate, error).string();
  }
  const std::string path_variable = Variable("PATH");
  for (const absl::string_view folder : absl::StrSplit(path_variable, ':')) {
    const fs::path candidate = fs::path(std::string(folder)) / "isoflop-trainer";
    if (fs::exists(candidate, error)) return candidate.string();
  }
  return "";
}

}  // namespace isoflop
