# peer-relay, the one binary, and the simulator beside it.

find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)

file(GLOB_RECURSE app_parts CONFIGURE_DEPENDS apps/peer_relay/*.cpp)
list(FILTER app_parts EXCLUDE REGEX "(_test|/main)\\.cpp$")
if(EXISTS ${PROJECT_SOURCE_DIR}/apps/peer_relay/main.cpp AND TARGET peer_relay)
  # Not src/: the binary is the first user of the library and sees what any other would see.
  add_executable(peer-relay apps/peer_relay/main.cpp ${app_parts})
  target_compile_options(peer-relay PRIVATE ${lean_checks})
  target_include_directories(peer-relay PRIVATE apps/peer_relay)
  target_link_libraries(peer-relay PRIVATE
    peer_relay CLI11::CLI11 fmt::fmt nlohmann_json::nlohmann_json spdlog::spdlog Threads::Threads)
  set_target_properties(peer-relay PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
endif()

# The parts of the simulator are tested without its main().
file(GLOB_RECURSE sim_parts CONFIGURE_DEPENDS sim/*.cpp)
list(FILTER sim_parts EXCLUDE REGEX "(_test|/main)\\.cpp$")
if(EXISTS ${PROJECT_SOURCE_DIR}/sim/main.cpp AND TARGET peer_relay_sodium)
  add_executable(peer-relay-sim sim/main.cpp ${sim_parts})
  target_include_directories(peer-relay-sim PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(peer-relay-sim PRIVATE
    peer_relay_sodium CLI11::CLI11 fmt::fmt nlohmann_json::nlohmann_json)
  set_target_properties(peer-relay-sim PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
endif()
