# fuzz/<name>_fuzz.cpp is the fuzzer `fuzz_<name>` under clang. Without clang the same file is linked
# to a small main() that replays the seeds and every crash ever found: an ordinary test.

file(GLOB fuzz_sources CONFIGURE_DEPENDS fuzz/*_fuzz.cpp)
if(NOT TARGET room_webrtc)
  list(FILTER fuzz_sources EXCLUDE REGEX "/sctp_fuzz\\.cpp$")
endif()
if(NOT fuzz_sources OR NOT TARGET peer_relay_sodium OR NOT (PEER_RELAY_FUZZ OR PEER_RELAY_TESTS))
  return()
endif()

# Worlds and generators that several fuzzers share.
file(GLOB fuzz_parts CONFIGURE_DEPENDS fuzz/*.cpp)
list(FILTER fuzz_parts EXCLUDE REGEX "(_fuzz|/replay_main)\\.cpp$")
# Where speed finds more than real cryptography does.
list(APPEND fuzz_parts ${PROJECT_SOURCE_DIR}/sim/modelled_crypto.cpp)

add_custom_target(test_fuzz)
foreach(source IN LISTS fuzz_sources)
  cmake_path(GET source STEM name)
  string(REGEX REPLACE "_fuzz$" "" name ${name})
  add_executable(fuzz_${name} ${source} ${fuzz_parts})
  add_dependencies(test_fuzz fuzz_${name})
  target_include_directories(fuzz_${name} PRIVATE fuzz)
  if(name STREQUAL "sdp")
    # The part of the transport that only reads text; it needs none of the libraries of the rest.
    target_sources(fuzz_sdp PRIVATE ${PROJECT_SOURCE_DIR}/src/transport/webrtc/candidate.cpp
      ${PROJECT_SOURCE_DIR}/src/transport/webrtc/dcep.cpp
      ${PROJECT_SOURCE_DIR}/src/transport/webrtc/sdp.cpp)
    target_link_libraries(fuzz_sdp PRIVATE fmt::fmt)
  endif()
  if(name STREQUAL "tcp")
    target_sources(fuzz_tcp PRIVATE ${PROJECT_SOURCE_DIR}/src/transport/read_buffers.cpp
      ${PROJECT_SOURCE_DIR}/src/transport/tcp/deframer.cpp
      ${PROJECT_SOURCE_DIR}/src/transport/tcp/opening.cpp)
  endif()
  if(name STREQUAL "sctp")
    target_link_libraries(fuzz_sctp PRIVATE room_webrtc room_transport)
  endif()
  target_link_libraries(fuzz_${name} PRIVATE peer_relay_sodium)
  set_target_properties(fuzz_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz)
  if(PEER_RELAY_FUZZ)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(fuzz_${name} PRIVATE fuzz/replay_main.cpp)
    add_test(NAME fuzz.${name}
      COMMAND fuzz_${name}
        ${PROJECT_SOURCE_DIR}/fuzz/corpus/${name} ${PROJECT_SOURCE_DIR}/fuzz/crashes/${name})
    set_tests_properties(fuzz.${name} PROPERTIES LABELS fuzz TIMEOUT 600)
  endif()
endforeach()
