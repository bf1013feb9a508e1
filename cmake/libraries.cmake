# The rooms under src/, and the libraries that are made of them.
#
# Each room of tools/rooms.txt becomes an object library `room_<name>`. Then a test of a low room
# compiles the rooms below it and nothing above: it runs soon, and while the rooms above are under
# repair.

find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(libsodium REQUIRED IMPORTED_TARGET libsodium)

# For data channels: ICE of the one, SCTP of the other; DTLS is OpenSSL's.
set(PEER_RELAY_HAS_WEBRTC OFF)
if(PEER_RELAY_WEBRTC)
  pkg_check_modules(nice IMPORTED_TARGET nice>=0.1.21)
  pkg_check_modules(usrsctp IMPORTED_TARGET usrsctp>=0.9.5)
  if(nice_FOUND AND usrsctp_FOUND)
    set(PEER_RELAY_HAS_WEBRTC ON)
  endif()
endif()

# Asio and Beast are compiled once, in src/transport/asio_impl.cpp; everyone else who sees them has
# to see the same declarations.
add_library(peer_relay_boost INTERFACE)
target_link_libraries(peer_relay_boost INTERFACE Boost::headers OpenSSL::SSL Threads::Threads)
target_compile_definitions(peer_relay_boost INTERFACE
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION)

# The house plan, as three parallel lists; only what is under src/ is built from it.
set(room_paths "")
set(room_floors "")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS tools/rooms.txt)
file(STRINGS tools/rooms.txt plan REGEX "^[0-9]+ +src/")
foreach(line IN LISTS plan)
  string(REGEX MATCH "^([0-9]+) +([^ ]+)" _ "${line}")
  list(APPEND room_floors ${CMAKE_MATCH_1})
  list(APPEND room_paths ${CMAKE_MATCH_2})
endforeach()

# All .cpp files of a room: below its path, or beside it for a room that is one file; but not those
# of a room that stands inside it.
function(find_room_sources path out)
  file(GLOB_RECURSE found CONFIGURE_DEPENDS ${path}/*.cpp)
  file(GLOB beside CONFIGURE_DEPENDS ${path}.cpp ${path}_*.cpp)
  list(APPEND found ${beside})
  foreach(other IN LISTS room_paths)
    if(other MATCHES "^${path}/")
      list(FILTER found EXCLUDE REGEX "^${PROJECT_SOURCE_DIR}/${other}/")
    endif()
  endforeach()
  set(${out} ${found} PARENT_SCOPE)
endfunction()

set(core_objects "")
set(sodium_objects "")
set(host_objects "")
set(rooms "")  # names of the rooms that have sources
foreach(path floor IN ZIP_LISTS room_paths room_floors)
  cmake_path(GET path FILENAME name)
  set(room_path_${name} ${path})
  set(room_floor_${name} ${floor})
  find_room_sources(${path} sources)
  set(room_tests_${name} ${sources})
  list(FILTER room_tests_${name} INCLUDE REGEX "_test\\.cpp$")
  list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")
  if(NOT sources OR (name STREQUAL "webrtc" AND NOT PEER_RELAY_HAS_WEBRTC))
    set(room_tests_${name} "")
    continue()
  endif()

  list(APPEND rooms ${name})
  add_library(room_${name} OBJECT ${sources})
  target_include_directories(room_${name} PUBLIC include src)
  if(name MATCHES "^(json_outline|runtime)$")
    target_link_libraries(room_${name} PRIVATE nlohmann_json::nlohmann_json)
  endif()
  if(path MATCHES "^src/(base|core/)")
    # Core also runs in a browser. What it may include is for tools/rooms.py to check.
    target_compile_options(room_${name} PRIVATE -fno-exceptions -fno-rtti)
    list(APPEND core_objects $<TARGET_OBJECTS:room_${name}>)
  elseif(path STREQUAL "src/sodium")
    target_link_libraries(room_${name} PUBLIC PkgConfig::libsodium)
    list(APPEND sodium_objects $<TARGET_OBJECTS:room_${name}>)
  else()
    # Beast masks what clients send byte by byte, which wants to be vectorized.
    set_property(SOURCE src/transport/asio_impl.cpp PROPERTY COMPILE_OPTIONS $<$<CONFIG:Release>:-O3>)
    target_link_libraries(room_${name} PUBLIC peer_relay_boost fmt::fmt spdlog::spdlog)
    target_compile_options(room_${name} PRIVATE ${lean_checks})
    if(name STREQUAL "webrtc")
      target_link_libraries(room_webrtc PUBLIC PkgConfig::nice PkgConfig::usrsctp)
    endif()
    if(name STREQUAL "runtime" AND PEER_RELAY_HAS_WEBRTC)
      target_compile_definitions(room_runtime PRIVATE PEER_RELAY_HAS_WEBRTC)
    endif()
    list(APPEND host_objects $<TARGET_OBJECTS:room_${name}>)
  endif()
endforeach()

# For whoever drives an engine without sockets: fuzzers, benches, the simulator.
if(core_objects)
  add_library(peer_relay_core STATIC ${core_objects})
  set_target_properties(peer_relay_core PROPERTIES LINKER_LANGUAGE CXX)
  target_include_directories(peer_relay_core PUBLIC include src)
endif()
if(sodium_objects)
  add_library(peer_relay_sodium STATIC ${sodium_objects})
  set_target_properties(peer_relay_sodium PROPERTIES LINKER_LANGUAGE CXX)
  target_include_directories(peer_relay_sodium PUBLIC include src)
  target_link_libraries(peer_relay_sodium PUBLIC PkgConfig::libsodium)
  if(TARGET peer_relay_core)
    target_link_libraries(peer_relay_sodium PUBLIC peer_relay_core)
  endif()
endif()

# For applications: all of it, behind the headers of include/ alone.
if(core_objects)
  add_library(peer_relay ${core_objects} ${sodium_objects} ${host_objects})
  add_library(peer_relay::peer_relay ALIAS peer_relay)
  set_target_properties(peer_relay PROPERTIES
    LINKER_LANGUAGE CXX VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
  target_compile_features(peer_relay PUBLIC cxx_std_23)
  target_include_directories(peer_relay PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(peer_relay PRIVATE
    OpenSSL::SSL PkgConfig::libsodium fmt::fmt spdlog::spdlog Threads::Threads)
  if(PEER_RELAY_HAS_WEBRTC)
    target_link_libraries(peer_relay PRIVATE PkgConfig::nice PkgConfig::usrsctp)
  endif()

  # For applications that include peer_relay/asio.hpp, the one header that shows Boost.
  add_library(peer_relay_asio INTERFACE)
  add_library(peer_relay::asio ALIAS peer_relay_asio)
  set_target_properties(peer_relay_asio PROPERTIES EXPORT_NAME asio)
  target_link_libraries(peer_relay_asio INTERFACE peer_relay Boost::headers Threads::Threads)
endif()
