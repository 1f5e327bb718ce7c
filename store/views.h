// The public views: `observation`, `curve` and, for exports, `trial_detail`.
//
// They hold no data, so each migration makes them anew. docs/store.md documents
// every column of the first two with its unit; a change there is a change of an
// API.
#ifndef ISOFLOP_STORE_VIEWS_H_
#define ISOFLOP_STORE_VIEWS_H_

namespace isoflop {

extern const char kViewsSql[];

}  // namespace isoflop

#endif  // ISOFLOP_STORE_VIEWS_H_
