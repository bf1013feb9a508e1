# What a package of peer-relay contains, and how find_package(peer_relay) finds it.

if(NOT TARGET peer_relay)
  return()
endif()

include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/peer_relay)

install(TARGETS peer_relay EXPORT peer_relay)
install(DIRECTORY include/peer_relay DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN *.hpp)
install(EXPORT peer_relay NAMESPACE peer_relay:: FILE peer_relayTargets.cmake
        DESTINATION ${package_dir})
# In a file of its own, which names Boost: it is read only for who asks for this component.
install(TARGETS peer_relay_asio EXPORT peer_relay_asio)
install(EXPORT peer_relay_asio NAMESPACE peer_relay:: FILE peer_relayAsioTargets.cmake
        DESTINATION ${package_dir})
configure_package_config_file(cmake/peer_relayConfig.cmake.in peer_relayConfig.cmake
                              INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(peer_relayConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/peer_relayConfig.cmake
              ${PROJECT_BINARY_DIR}/peer_relayConfigVersion.cmake DESTINATION ${package_dir})

if(TARGET peer-relay)
  install(TARGETS peer-relay)
  if(TARGET peer-relay-sim)
    install(TARGETS peer-relay-sim)
  endif()
  file(GLOB man_pages CONFIGURE_DEPENDS docs/man/*.1)
  if(man_pages)
    install(FILES ${man_pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  endif()
endif()
