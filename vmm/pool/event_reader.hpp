// SPDX-License-Identifier: Apache-2.0
// Events of a guest that another process runs, read from the lines of its control socket
// (GET /v1/events, event_node()), so that who took the guest hears them as he hears those of one
// that he runs himself. All of a line is the other side's: what is not as it is to be is left out.
#pragma once

#include <chrono>
#include <string_view>

#include "vmm/control/guest_events.hpp"

namespace gpuvm::pool {

/// Publishes the line's event, unless it is older than `since` or of a kind that is not known here.
/// Of changes of state those to "running" are left out: the guest's own word tells of that. False:
/// nothing was published.
bool publish_line(std::string_view line, std::chrono::system_clock::time_point since,
                  GuestEvents& events);

}  // namespace gpuvm::pool
