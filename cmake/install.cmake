# Headers, both libraries, asyncio.pc and the CMake package, all relocatable.
include(CMakePackageConfigHelpers)

install(DIRECTORY include/ DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.h")
install(TARGETS asyncio asyncio_static EXPORT asyncioTargets
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
if(TARGET asyncio_ps)
    install(TARGETS asyncio_ps RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()

set(asyncio_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/asyncio")
install(EXPORT asyncioTargets NAMESPACE asyncio:: DESTINATION "${asyncio_package_dir}")
configure_package_config_file(cmake/asyncioConfig.cmake.in asyncioConfig.cmake
                              INSTALL_DESTINATION "${asyncio_package_dir}")
write_basic_package_version_file(asyncioConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES
        "${CMAKE_CURRENT_BINARY_DIR}/asyncioConfig.cmake"
        "${CMAKE_CURRENT_BINARY_DIR}/asyncioConfigVersion.cmake"
        DESTINATION "${asyncio_package_dir}")

# From the directory of asyncio.pc up to the prefix, whatever that turns out to be.
file(RELATIVE_PATH asyncio_pc_to_prefix
     "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
configure_file(cmake/asyncio.pc.in asyncio.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/asyncio.pc"
        DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
