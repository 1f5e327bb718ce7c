// Where the fits of each form start.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_LAW_STARTS_H_
#define ISOFLOP_ANALYSIS_LAW_STARTS_H_

#include <vector>

#include "analysis/law_forms.h"
#include "analysis/objective.h"

namespace isoflop {

// Minima of variable projection over the exponents' grid, lowest first, then
// quasi-random points; for given exponents the linear part is solved.
template <class Form>
std::vector<typename Form::Vector> StartsOf(const FitRows& rows);
template <>
std::vector<ChinchillaForm::Vector> StartsOf<ChinchillaForm>(const FitRows& rows);
template <>
std::vector<TiedForm::Vector> StartsOf<TiedForm>(const FitRows& rows);
template <>
std::vector<MultiplicativeForm::Vector> StartsOf<MultiplicativeForm>(const FitRows& rows);
template <>
std::vector<KaplanForm::Vector> StartsOf<KaplanForm>(const FitRows& rows);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_LAW_STARTS_H_
