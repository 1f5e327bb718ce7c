// A folder with studies and the homes of `isoflop run`, and a look into their
// stores.
#ifndef ISOFLOP_TESTS_E2E_RUN_FOLDER_H_
#define ISOFLOP_TESTS_E2E_RUN_FOLDER_H_

#include <map>
#include <string>
#include <vector>

#include "store/result_store.h"
#include "tests/e2e/program.h"

namespace isoflop {

class RunFolder {
 public:
  RunFolder();
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  std::string File(const std::string& name) const { return path_ + "/" + name; }
  // Returns the path.
  std::string Write(const std::string& name, const std::string& text) const;

  // The store, the spool and all else of a run lie in the folder `home`.
  std::map<std::string, std::string> Env(const std::string& home) const;
  // `isoflop run YAML` on two slots, without a question; the report goes to
  // <home>-report.
  std::vector<std::string> RunArguments(const std::string& yaml, const std::string& home) const;
  // That, to its end, with further arguments behind; ten minutes at most.
  ProgramEnd Run(const std::string& yaml, const std::string& home,
                 const std::vector<std::string>& further = {}) const;
  ProgramEnd Isoflop(std::vector<std::string> arguments, const std::string& home) const;

  // Of the newest study in the store of `home`; none without a store.
  std::vector<StoredTrial> Trials(const std::string& home) const;
  int Completed(const std::string& home) const;
  // Final losses by fingerprint.
  std::map<std::string, double> Losses(const std::string& home) const;
  // How often each completed trial was leased, by its number.
  std::map<int64_t, size_t> LeasesOfCompleted(const std::string& home) const;
  // The tables of results (T6, T7, T8) of a report, by file; what tells of the
  // run itself, T6's hours included, is left out.
  std::map<std::string, std::string> ResultTables(const std::string& home) const;

 private:
  std::string path_;
};

}  // namespace isoflop

#endif  // ISOFLOP_TESTS_E2E_RUN_FOLDER_H_
