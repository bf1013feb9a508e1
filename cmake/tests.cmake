# One test program per room, one for what crosses rooms, and a few tests that are no programs of
# ours. Every test carries a label, and `test_<label>` builds just what the tests of it need, so that
# `./dev test wire` waits for nothing else.

if(NOT PEER_RELAY_TESTS)
  return()
endif()

enable_testing()
find_package(GTest REQUIRED)
include(GoogleTest)

add_library(peer_relay_testing INTERFACE)
target_include_directories(peer_relay_testing INTERFACE include src ${PROJECT_SOURCE_DIR})
target_link_libraries(peer_relay_testing INTERFACE GTest::gmock GTest::gmock_main)
target_compile_definitions(peer_relay_testing INTERFACE
  PEER_RELAY_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
  PEER_RELAY_VECTORS_DIR="${PROJECT_SOURCE_DIR}/tests/vectors"
  PEER_RELAY_SHARED_VECTORS_DIR="${PROJECT_SOURCE_DIR}/../shared/vectors"
  PEER_RELAY_BINARY="${PROJECT_BINARY_DIR}/peer-relay")

# add_test_program(<label> SOURCES <files> LINK <targets> TIMEOUT <seconds for each test>)
function(add_test_program label)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;LINK" ${ARGN})
  add_executable(test_${label} ${arg_SOURCES})
  target_link_libraries(test_${label} PRIVATE ${arg_LINK} peer_relay_testing)
  set_target_properties(test_${label} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  # Tests are listed when they are run: a program that breaks at start-up fails its tests, not the build.
  gtest_discover_tests(test_${label}
    DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 120
    TEST_PREFIX ${label}.
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
    PROPERTIES LABELS ${label} TIMEOUT ${arg_TIMEOUT})
endfunction()

# A test sees its own room and every floor below; of the rooms on its own floor only those that it
# stands inside or that stand inside it. A test that needs more than that crosses rooms: tests/.
# The crypto that is shipped is lent to all.
function(rooms_below name out)
  set(found "")
  foreach(other IN LISTS rooms)
    set(family OFF)
    if("${room_path_${other}}/" MATCHES "^${room_path_${name}}/" OR
       "${room_path_${name}}/" MATCHES "^${room_path_${other}}/")
      set(family ON)
    endif()
    if(family OR other STREQUAL "sodium" OR room_floor_${other} LESS room_floor_${name})
      list(APPEND found room_${other})
    endif()
  endforeach()
  set(${out} ${found} PARENT_SCOPE)
endfunction()

foreach(path IN LISTS room_paths)
  cmake_path(GET path FILENAME name)
  if(room_tests_${name})
    rooms_below(${name} below)
    add_test_program(${name} SOURCES ${room_tests_${name}} LINK ${below} TIMEOUT 300)
  endif()
endforeach()

file(GLOB_RECURSE sim_tests CONFIGURE_DEPENDS sim/*_test.cpp)
if(sim_tests AND TARGET peer_relay_sodium)
  add_test_program(sim SOURCES ${sim_tests} ${sim_parts} TIMEOUT 900
    LINK peer_relay_sodium CLI11::CLI11 fmt::fmt nlohmann_json::nlohmann_json)
endif()

# The verbs of the binary, without its main().
file(GLOB_RECURSE app_tests CONFIGURE_DEPENDS apps/peer_relay/*_test.cpp)
if(app_tests AND TARGET peer-relay)
  add_test_program(app SOURCES ${app_tests} ${app_parts} TIMEOUT 300
    LINK peer_relay CLI11::CLI11 fmt::fmt nlohmann_json::nlohmann_json spdlog::spdlog)
  target_compile_options(test_app PRIVATE ${lean_checks})
  target_include_directories(test_app PRIVATE apps/peer_relay)
endif()

# Real sockets, real processes. Helpers are the files of tests/ that are not called _test.
file(GLOB_RECURSE system_sources CONFIGURE_DEPENDS tests/*.cpp)
list(FILTER system_sources EXCLUDE REGEX "_main\\.cpp$")
if(system_sources AND TARGET peer_relay)
  add_test_program(system SOURCES ${system_sources} TIMEOUT 600
    LINK peer_relay peer_relay_boost fmt::fmt nlohmann_json::nlohmann_json PkgConfig::libsodium)
  target_compile_options(test_system PRIVATE ${lean_checks})
  if(TARGET peer-relay)
    add_dependencies(test_system peer-relay)
  endif()
endif()

find_package(Python3 COMPONENTS Interpreter REQUIRED)

# Helpers of the tests against npm peer-relay 0.0.2, and that package itself: without it they fail.
file(GLOB legacy_mains CONFIGURE_DEPENDS tests/legacy/*_main.cpp)
foreach(file IN LISTS legacy_mains)
  cmake_path(GET file STEM name)
  string(REGEX REPLACE "_main$" "" name ${name})
  add_executable(legacy_${name} ${file})
  target_link_libraries(legacy_${name} PRIVATE peer_relay nlohmann_json::nlohmann_json)
  target_include_directories(legacy_${name} PRIVATE src)
  set_target_properties(legacy_${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  if(TARGET test_system)
    add_dependencies(test_system legacy_${name})
  endif()
endforeach()
add_test(NAME system.install_old_peers
  COMMAND ${Python3_EXECUTABLE} -B ${PROJECT_SOURCE_DIR}/tools/install_npm.py
    ${PROJECT_SOURCE_DIR}/tests/legacy ${PROJECT_BINARY_DIR}/legacy --omit=optional)
set_tests_properties(system.install_old_peers PROPERTIES LABELS system TIMEOUT 600
  FIXTURES_SETUP old_peers)

# And of those against npm peer-exchange 0.4.1.
if(TARGET peer_relay)
  add_executable(exchange_old_node tests/exchange/old_node_main.cpp)
  target_link_libraries(exchange_old_node PRIVATE
    peer_relay nlohmann_json::nlohmann_json OpenSSL::Crypto)
  target_compile_options(exchange_old_node PRIVATE ${lean_checks})
  set_target_properties(exchange_old_node PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  if(TARGET test_system)
    add_dependencies(test_system exchange_old_node)
  endif()
endif()
add_test(NAME system.install_exchange_peers
  COMMAND ${Python3_EXECUTABLE} -B ${PROJECT_SOURCE_DIR}/tools/install_npm.py
    ${PROJECT_SOURCE_DIR}/tests/exchange ${PROJECT_BINARY_DIR}/exchange --omit=optional)
set_tests_properties(system.install_exchange_peers PROPERTIES LABELS system TIMEOUT 600
  FIXTURES_SETUP exchange_peers)

# The binary as a user runs it: each file is one test, and prints its own.
file(GLOB process_tests CONFIGURE_DEPENDS tests/*_test.py)
if(TARGET peer-relay AND NOT PEER_RELAY_SANITIZE MATCHES thread)
  foreach(file IN LISTS process_tests)
    cmake_path(GET file STEM name)
    add_test(NAME system.${name} COMMAND ${Python3_EXECUTABLE} -B ${file})
    set_tests_properties(system.${name} PROPERTIES LABELS system TIMEOUT 900 RUN_SERIAL ON
      ENVIRONMENT PEER_RELAY_BINARY=${PROJECT_BINARY_DIR}/peer-relay)
    if(name MATCHES "^legacy")
      set_tests_properties(system.${name} PROPERTIES FIXTURES_REQUIRED old_peers TIMEOUT 1800)
    endif()
    if(name STREQUAL "legacy_webrtc_test")
      set_tests_properties(system.${name} PROPERTIES FIXTURES_REQUIRED "old_peers;webrtc_peers")
    endif()
    if(name MATCHES "^exchange_legacy")
      set_tests_properties(system.${name} PROPERTIES
        FIXTURES_REQUIRED "exchange_peers;webrtc_peers" TIMEOUT 1800)
    endif()
  endforeach()
endif()

# One end of a connection, for tests with the other end of somebody else.
if(PEER_RELAY_HAS_WEBRTC AND TARGET room_webrtc)
  add_executable(webrtc_peer tests/webrtc/webrtc_peer_main.cpp)
  target_compile_options(webrtc_peer PRIVATE ${lean_checks})
  target_include_directories(webrtc_peer PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(webrtc_peer PRIVATE
    room_webrtc room_transport room_base CLI11::CLI11 nlohmann_json::nlohmann_json)
  set_target_properties(webrtc_peer PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  if(TARGET test_system)
    add_dependencies(test_system webrtc_peer)
  endif()
  if(NOT PEER_RELAY_SANITIZE MATCHES thread)
    add_test(NAME system.install_webrtc_peers
      COMMAND ${Python3_EXECUTABLE} -B ${PROJECT_SOURCE_DIR}/tools/install_npm.py
        ${PROJECT_SOURCE_DIR}/tests/webrtc ${PROJECT_BINARY_DIR}/webrtc)
    set_tests_properties(system.install_webrtc_peers PROPERTIES LABELS system TIMEOUT 600
      FIXTURES_SETUP webrtc_peers)
    set(webrtc_environment WEBRTC_PEER=${PROJECT_BINARY_DIR}/tests/webrtc_peer
      PEER_RELAY_BINARY=${PROJECT_BINARY_DIR}/peer-relay
      NODE_PATH=${PROJECT_BINARY_DIR}/webrtc/node_modules)
    add_test(NAME system.webrtc_interop
      COMMAND ${Python3_EXECUTABLE} -B ${PROJECT_SOURCE_DIR}/tests/webrtc/interop_test.py)
    set_tests_properties(system.webrtc_interop PROPERTIES LABELS system TIMEOUT 900 RUN_SERIAL ON
      FIXTURES_REQUIRED webrtc_peers ENVIRONMENT "${webrtc_environment}")
    foreach(name nat vanish)
      add_test(NAME system.webrtc_${name}
        COMMAND ${Python3_EXECUTABLE} -B ${PROJECT_SOURCE_DIR}/tests/webrtc/${name}_test.py)
      set_tests_properties(system.webrtc_${name} PROPERTIES LABELS system TIMEOUT 600 RUN_SERIAL ON
        ENVIRONMENT "${webrtc_environment}")
    endforeach()
  endif()
endif()

# Our own checkers can fail, and this shows it.
add_custom_target(test_tools)
add_test(NAME tools.unittest
  COMMAND ${Python3_EXECUTABLE} -B -m unittest discover -s ${PROJECT_SOURCE_DIR}/tools -p "*_test.py")
set_tests_properties(tools.unittest PROPERTIES LABELS tools TIMEOUT 120)

# Each header compiles alone: one file that includes nothing else, compiled like all others, so that
# only headers that have changed cost anything.
set(header_files "")
file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} include/*.hpp src/*.hpp)
if(NOT PEER_RELAY_HAS_WEBRTC)
  list(FILTER headers EXCLUDE REGEX "^src/transport/webrtc/")
endif()
foreach(header IN LISTS headers)
  string(REGEX REPLACE "^(include|src)/" "" spelling ${header})
  string(REGEX REPLACE "\\.hpp$" ".cpp" file ${header})
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/headers/${file} CONTENT "#include \"${spelling}\"\n")
  list(APPEND header_files ${PROJECT_BINARY_DIR}/headers/${file})
endforeach()
if(header_files)
  add_library(headers OBJECT EXCLUDE_FROM_ALL ${header_files})
  target_include_directories(headers PRIVATE include src)
  target_link_libraries(headers PRIVATE peer_relay_boost PkgConfig::libsodium fmt::fmt spdlog::spdlog)
  if(PEER_RELAY_HAS_WEBRTC)
    target_link_libraries(headers PRIVATE PkgConfig::nice)
  endif()
  add_custom_target(test_headers)
  # The lock is the one that ./dev holds while it builds.
  add_test(NAME headers.compile_alone
    COMMAND flock ${PROJECT_BINARY_DIR}/.lock
      ${CMAKE_COMMAND} --build ${PROJECT_BINARY_DIR} --target headers -- -k 0)
  set_tests_properties(headers.compile_alone PROPERTIES LABELS headers TIMEOUT 1200 PROCESSORS 2)
endif()

# A stranger finds the installed package, and the examples build against it.
if(TARGET peer_relay AND NOT PEER_RELAY_SANITIZE MATCHES thread)
  add_custom_target(test_package)
  add_dependencies(test_package peer_relay)
  if(TARGET peer-relay)
    add_dependencies(test_package peer-relay)
  endif()
  set(sanitize "")
  if(PEER_RELAY_SANITIZE)
    set(sanitize -fsanitize=${PEER_RELAY_SANITIZE})
  endif()
  add_test(NAME package.found_by_a_stranger
    COMMAND ${CMAKE_COMMAND}
      -D SOURCE_DIR=${PROJECT_SOURCE_DIR} -D BINARY_DIR=${PROJECT_BINARY_DIR}
      -D COMPILER=${CMAKE_CXX_COMPILER} -D FLAGS=${sanitize} -D VERSION=${PROJECT_VERSION}
      -P ${PROJECT_SOURCE_DIR}/cmake/package_test.cmake)
  set_tests_properties(package.found_by_a_stranger PROPERTIES LABELS package TIMEOUT 1200)
endif()
