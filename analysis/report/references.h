// The literature that captions name by author and year. Internal to
// analysis/report.
#ifndef ISOFLOP_ANALYSIS_REPORT_REFERENCES_H_
#define ISOFLOP_ANALYSIS_REPORT_REFERENCES_H_

#include <optional>
#include <string>
#include <vector>

#include "analysis/report/report.h"

namespace isoflop {

struct Reference {
  const char* key;     // "hoffmann2022", in references.bib
  const char* cite;    // "Hoffmann et al. 2022", as captions write it
  const char* text;    // authors, title, where, for a reader
  const char* bibtex;  // the whole entry
};

const std::vector<Reference>& References();

// All of them as BibTeX, by key.
std::string ReferencesBib();

// Those that `text` names, by key.
std::vector<const Reference*> CitedIn(const std::string& text);

// Those that the report names in its words, captions and cells; nullopt: none.
std::optional<Table> ReferencesTable(const Report& report);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_REPORT_REFERENCES_H_
