# bench/*_bench.cpp together are `micro_bench`; each bench/<name>_main.cpp is a program `<name>` that
# measures whole processes. All land in <build>/bench.

if(NOT PEER_RELAY_BENCH)
  return()
endif()

file(GLOB micro_sources CONFIGURE_DEPENDS bench/*_bench.cpp)
file(GLOB bench_mains CONFIGURE_DEPENDS bench/*_main.cpp)
file(GLOB bench_parts CONFIGURE_DEPENDS bench/*.cpp)
list(FILTER bench_parts EXCLUDE REGEX "(_bench|_main)\\.cpp$")
if(NOT PEER_RELAY_HAS_WEBRTC)
  list(FILTER bench_mains EXCLUDE REGEX "/webrtc_main\\.cpp$")
endif()
if(NOT TARGET peer_relay OR NOT (micro_sources OR bench_mains))
  return()
endif()

add_library(peer_relay_benching INTERFACE)
target_include_directories(peer_relay_benching INTERFACE src bench)
target_link_libraries(peer_relay_benching INTERFACE
  peer_relay peer_relay_boost CLI11::CLI11 fmt::fmt nlohmann_json::nlohmann_json spdlog::spdlog
  PkgConfig::libsodium)

if(micro_sources)
  find_package(benchmark REQUIRED)
  add_executable(micro_bench ${micro_sources} ${bench_parts})
  target_link_libraries(micro_bench PRIVATE peer_relay_benching benchmark::benchmark_main)
  set_target_properties(micro_bench PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)
endif()

foreach(source IN LISTS bench_mains)
  cmake_path(GET source STEM name)
  string(REGEX REPLACE "_main$" "" name ${name})
  # The target has a prefix because targets share one name space with the rooms; the program has not.
  add_executable(bench_${name} ${source} ${bench_parts})
  target_link_libraries(bench_${name} PRIVATE peer_relay_benching)
  set_target_properties(bench_${name} PROPERTIES
    OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)
endforeach()
