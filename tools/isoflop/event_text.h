// An entry of the history as people read it.
#ifndef ISOFLOP_TOOLS_ISOFLOP_EVENT_TEXT_H_
#define ISOFLOP_TOOLS_ISOFLOP_EVENT_TEXT_H_

#include <nlohmann/json.hpp>
#include <string>

#include "proto/study_admin.pb.h"

namespace isoflop {

// "14:02:11", with the date in front when it is not today.
std::string EventTime(const wire::Event& event);
// "trial 17 completed, loss 3.214"; without "trial 17" when `with_subject` is
// false.
std::string EventText(const wire::Event& event, bool with_subject);
// "isoflop.event/1".
nlohmann::json EventJson(const wire::Event& event);

}  // namespace isoflop

#endif  // ISOFLOP_TOOLS_ISOFLOP_EVENT_TEXT_H_
