// SPDX-License-Identifier: Apache-2.0
// The table of what the control socket answers. docs/openapi.json says the same to clients, and a
// unit test holds the two against each other.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "vmm/api/api_message.hpp"

namespace gpuvm {

enum class ApiAction {
  kVm,
  kInspect,
  kEvents,
  kMetrics,
  kOpenApi,
  kPause,
  kResume,
  kReset,
  kPowerButton,
  kStop,
  kAttach,
  kDetach,
  kConsole,
};

struct ApiRoute {
  std::string_view method;
  std::string_view path;
  ApiAction action;
  std::string_view reason;      ///< what it is for
  std::array<int, 3> statuses;  ///< of its own answers; 0: none
  /// Those that it takes, each in spaces: " replay=1 "; one that ends in "=" has any value behind
  /// it.
  std::string_view queries = {};
};

/// What any route may be answered with, before it is looked at; 404 and 405 are of no route.
inline constexpr std::array kCommonStatuses = {400, 403, 413, 431, 503};

std::span<const ApiRoute> api_routes();

/// The route of a request, or the answer where there is none: 404, 405, 400 for a query that it
/// does not take.
struct RouteMatch {
  const ApiRoute* route = nullptr;
  ApiResponse error = {};
};
RouteMatch match_route(const ApiRequest& request);

/// docs/openapi.json as it was when gpuvm was built.
std::string_view openapi_text();

}  // namespace gpuvm
