// SPDX-License-Identifier: Apache-2.0
// docs/openapi.json against the router: the same paths, methods, queries and statuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "vmm/api/router.hpp"

namespace gpuvm::openapi_test {
namespace {

using Statuses = std::set<std::string>;
using Operations = std::map<std::string, Statuses>;

nlohmann::json file() {
  return nlohmann::json::parse(openapi_text());
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

TEST(OpenApi, HasTheRoutesAndTheirStatuses) {
  Operations in_file;
  const auto document = file();
  for (const auto& [path, methods] : document["paths"].items()) {
    for (const auto& [method, operation] : methods.items()) {
      Statuses& statuses = in_file[method + " " + path];
      for (const auto& [status, response] : operation["responses"].items()) {
        statuses.insert(status);
      }
    }
  }
  Operations in_router;
  for (const ApiRoute& route : api_routes()) {
    Statuses& statuses = in_router[lower(route.method) + " " + std::string(route.path)];
    for (const int status : kCommonStatuses) {
      statuses.insert(std::to_string(status));
    }
    for (const int status : route.statuses) {
      if (status != 0) {
        statuses.insert(std::to_string(status));
      }
    }
  }
  EXPECT_EQ(in_file, in_router);
}

TEST(OpenApi, HasTheQueries) {
  for (const ApiRoute& route : api_routes()) {
    std::set<std::string> in_router;
    std::istringstream words{std::string(route.queries)};
    for (std::string word; words >> word;) {
      in_router.insert(word);
    }
    std::set<std::string> in_file;
    const auto operation = file()["paths"][std::string(route.path)][lower(route.method)];
    for (const auto& parameter : operation.value("parameters", nlohmann::json::array())) {
      if (!parameter["schema"].contains("enum")) {
        in_file.insert(parameter["name"].get<std::string>() + "=");
        continue;
      }
      for (const auto& value : parameter["schema"]["enum"]) {
        const auto text = value.get<std::string>();
        in_file.insert(parameter["name"].get<std::string>() + (text.empty() ? "" : "=" + text));
      }
    }
    EXPECT_EQ(in_file, in_router) << route.path;
  }
}

TEST(OpenApi, AllThatItRefersToIsThere) {
  const auto document = file();
  const std::string text(openapi_text());
  constexpr std::string_view kBegin = "\"$ref\": \"#";
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find(kBegin, at)) != std::string::npos; ++found) {
    at += kBegin.size();
    const std::string pointer = text.substr(at, text.find('"', at) - at);
    EXPECT_TRUE(document.contains(nlohmann::json::json_pointer(pointer))) << pointer;
  }
  EXPECT_GT(found, 50U);
}

TEST(Router, EveryRouteIsFoundAndSaysWhatItIsFor) {
  for (const ApiRoute& route : api_routes()) {
    const ApiRequest request{.method = std::string(route.method), .path = std::string(route.path)};
    EXPECT_EQ(match_route(request).route, &route);
    EXPECT_FALSE(route.reason.empty());
    for (const int status : route.statuses) {
      EXPECT_TRUE(status == 0 || reason_phrase(status) != "Unknown") << status;
    }
  }
}

TEST(Router, AQueryIsOneOfThoseThatItTakes) {
  ApiRequest request{.method = "GET", .path = "/v1/console", .query = "virtio"};
  EXPECT_NE(match_route(request).route, nullptr);
  for (const auto* const wrong : {"virtio serial", "virt", " ", "serial virtio", "VIRTIO"}) {
    request.query = wrong;
    EXPECT_EQ(match_route(request).error.status, 400) << wrong;
  }
}

TEST(Router, AQueryWithAValueHasOne) {
  ApiRequest request{.method = "PUT", .path = "/v1/attach", .query = "device=0000:41:00.0"};
  EXPECT_NE(match_route(request).route, nullptr);
  request.query = "device=/run/server-1.sock";
  EXPECT_NE(match_route(request).route, nullptr);
  for (const auto* const wrong : {"device=", "device", "device=a b", "device=a&device=b",
                                  "device=%2e", "devices=a", "=a", "device=a\n", "ice=a"}) {
    request.query = wrong;
    EXPECT_EQ(match_route(request).error.status, 400) << wrong;
  }
  request.query = std::string("device=").append(257, 'a');
  EXPECT_EQ(match_route(request).error.status, 400) << "too long";
}

}  // namespace
}  // namespace gpuvm::openapi_test
