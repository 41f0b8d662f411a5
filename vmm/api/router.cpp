// SPDX-License-Identifier: Apache-2.0
#include "vmm/api/router.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace gpuvm {
namespace {

constexpr std::array kRoutes = {
    ApiRoute{"GET", "/v1/vm", ApiAction::kVm, "what the guest is and does", {200}},
    ApiRoute{"GET", "/v1/inspect", ApiAction::kInspect, "all that there is of the machine", {200}},
    ApiRoute{"GET",
             "/v1/events",
             ApiAction::kEvents,
             "what happens, as it happens",
             {200},
             " replay=1 "},
    ApiRoute{"GET", "/v1/metrics", ApiAction::kMetrics, "numbers for Prometheus", {200}},
    ApiRoute{"GET", "/v1/openapi", ApiAction::kOpenApi, "this interface for programs", {200}},
    ApiRoute{"PUT", "/v1/vm/pause", ApiAction::kPause, "vCPUs rest", {204, 409, 500}},
    ApiRoute{"PUT", "/v1/vm/resume", ApiAction::kResume, "they go on", {204, 409, 500}},
    ApiRoute{"PUT", "/v1/vm/reset", ApiAction::kReset, "a reset button", {204, 409, 500}},
    ApiRoute{
        "PUT", "/v1/vm/power-button", ApiAction::kPowerButton, "a power button", {204, 409, 500}},
    ApiRoute{"PUT", "/v1/vm/stop", ApiAction::kStop, "the guest's end, at once", {204, 409, 500}},
    ApiRoute{"PUT",
             "/v1/attach",
             ApiAction::kAttach,
             "a card comes while the guest runs",
             {204, 409, 500},
             " device= "},
    ApiRoute{
        "PUT", "/v1/detach", ApiAction::kDetach, "it goes again", {204, 409, 500}, " device= "},
    ApiRoute{"GET",
             "/v1/console",
             ApiAction::kConsole,
             "what the guest prints, and typing to it",
             {101, 404},
             " serial virtio "},
};

std::string allowed_methods(std::string_view path) {
  std::string methods;
  for (const ApiRoute& route : kRoutes) {
    if (route.path == path) {
      methods += fmt::format("{}{}", methods.empty() ? "" : ", ", route.method);
    }
  }
  return methods;
}

/// What names a device: no escapes, and nothing that begins another query.
bool is_plain_value(std::string_view value) {
  constexpr std::size_t kLongest = 256;
  return !value.empty() && value.size() <= kLongest &&
         std::all_of(value.begin(), value.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '.' || c == ':' || c == '/' || c == '-' || c == '_';
         });
}

bool takes_query(const ApiRoute& route, std::string_view query) {
  if (query.empty()) {
    return true;
  }
  if (query.find(' ') != std::string_view::npos) {
    return false;
  }
  if (route.queries.find(fmt::format(" {} ", query)) != std::string_view::npos) {
    return !query.ends_with('=');
  }
  const auto equals = query.find('=');
  return equals != std::string_view::npos && is_plain_value(query.substr(equals + 1)) &&
         route.queries.find(fmt::format(" {} ", query.substr(0, equals + 1))) !=
             std::string_view::npos;
}

}  // namespace

std::span<const ApiRoute> api_routes() {
  return kRoutes;
}

RouteMatch match_route(const ApiRequest& request) {
  for (const ApiRoute& route : kRoutes) {
    if (route.path != request.path || route.method != request.method) {
      continue;
    }
    if (!takes_query(route, request.query)) {
      return {.error = error_response(
                  400, route.queries.empty()
                           ? fmt::format("{} takes no query", route.path)
                           : fmt::format("{} takes one of these queries:{}", route.path,
                                         route.queries.substr(0, route.queries.size() - 1)))};
    }
    return {.route = &route};
  }
  if (const auto methods = allowed_methods(request.path); !methods.empty()) {
    return {.error =
                error_response(405, fmt::format("{} is for {}", request.path, methods), methods)};
  }
  return {.error = error_response(
              404, "There is nothing of this name; GET /v1/openapi tells what there is")};
}

}  // namespace gpuvm
