//! Exports that real drivers import and that are not implemented: each is a named stub. Implementing one means
//! writing its row and taking its name away here.

use crate::stub::missing;

missing! {
    "fltmgr.sys":
        FltAcquirePushLockExclusiveEx FltAcquirePushLockSharedEx FltAllocateCallbackData FltAllocateContext
        FltAllocateExtraCreateParameter FltAllocateExtraCreateParameterList FltAllocateGenericWorkItem
        FltAllocatePoolAlignedWithTag FltCancelFileOpen FltCancelIo FltCancellableWaitForSingleObject
        FltCbdqDisable FltCbdqInitialize FltCbdqInsertIo FltCbdqRemoveNextIo FltCheckAndGrowNameControl
        FltClearCancelCompletion FltClose FltCloseSectionForDataScan FltCompletePendedPostOperation
        FltCompletePendedPreOperation FltCreateFile FltCreateFileEx FltCreateFileEx2 FltCreateSectionForDataScan
        FltCreateSystemVolumeInformationFolder FltDeleteContext FltDeleteInstanceContext FltDeletePushLock
        FltDeleteStreamHandleContext FltDetachVolume FltDoCompletionProcessingWhenSafe FltEnlistInTransaction
        FltEnumerateInstances FltFindExtraCreateParameter FltFreeCallbackData FltFreeExtraCreateParameter
        FltFreeExtraCreateParameterList FltFreeGenericWorkItem FltFreePoolAlignedWithTag FltFsControlFile
        FltGetDestinationFileNameInformation FltGetDeviceObject FltGetDiskDeviceObject
        FltGetEcpListFromCallbackData FltGetFileContext FltGetFileNameInformation
        FltGetFileNameInformationUnsafe FltGetFileSystemType FltGetInstanceContext FltGetIrpName
        FltGetNextExtraCreateParameter FltGetStreamContext FltGetStreamHandleContext FltGetTransactionContext
        FltGetTunneledName FltGetVolumeContext FltGetVolumeFromFileObject FltGetVolumeFromInstance
        FltGetVolumeGuidName FltGetVolumeName FltGetVolumeProperties FltInitializePushLock
        FltInsertExtraCreateParameter FltIsDirectory FltIsEcpAcknowledged FltIsEcpFromUserMode FltIsIoCanceled
        FltIsVolumeWritable FltLockUserBuffer FltParseFileName FltParseFileNameInformation
        FltPerformAsynchronousIo FltPerformSynchronousIo FltQueryInformationFile FltQueueGenericWorkItem
        FltReadFile FltReferenceContext FltReferenceFileNameInformation FltRegisterForDataScan FltReleaseContext
        FltReleaseFileNameInformation FltReleasePushLockEx FltRequestOperationStatusCallback
        FltReuseCallbackData FltSetCallbackDataDirty FltSetCancelCompletion FltSetEcpListIntoCallbackData
        FltSetFileContext FltSetInformationFile FltSetInstanceContext FltSetStreamContext
        FltSetStreamHandleContext FltSetTransactionContext FltSetVolumeContext FltSupportsStreamHandleContexts
        FltWriteFile;
    "fwpkclnt.sys":
        FwpmCalloutAdd0 FwpmCalloutDeleteByKey0 FwpmEngineClose0 FwpmEngineOpen0 FwpmFilterAdd0
        FwpmFilterDeleteByKey0 FwpmProviderAdd0 FwpmProviderDeleteByKey0 FwpmSubLayerAdd0
        FwpmSubLayerDeleteByKey0 FwpmTransactionAbort0 FwpmTransactionBegin0 FwpmTransactionCommit0
        FwpsAllocateNetBufferAndNetBufferList0 FwpsCalloutRegister0 FwpsCalloutUnregisterByKey0
        FwpsFlowAssociateContext0 FwpsFlowRemoveContext0 FwpsFreeNetBufferList0 FwpsInjectForwardAsync0
        FwpsInjectNetworkReceiveAsync0 FwpsInjectNetworkSendAsync0 FwpsInjectionHandleCreate0
        FwpsInjectionHandleDestroy0 FwpsQueryPacketInjectionState0;
    "hal.dll":
        HalGetBusDataByOffset HalMakeBeep HalSetBusDataByOffset;
    "ksecdd.sys":
        BCryptCloseAlgorithmProvider BCryptCreateHash BCryptDestroyHash BCryptDestroyKey BCryptFinishHash
        BCryptGenRandom BCryptHashData BCryptImportKeyPair BCryptOpenAlgorithmProvider BCryptVerifySignature;
    "ksi.dll":
        KsiInitialize KsiInitializeApc KsiInitializeDpc KsiInitializeSystemProcess KsiInitializeWorkItem
        KsiInsertQueueApc KsiInsertQueueDpc KsiQueueWorkItem KsiRemoveQueueApc KsiSystemProcess
        KsiUninitialize;
    "ndis.sys":
        NdisAdvanceNetBufferDataStart NdisAllocateNetBufferListPool NdisAllocateNetBufferPool
        NdisFreeNetBufferListPool NdisFreeNetBufferPool NdisGetDataBuffer NdisRetreatNetBufferDataStart;
    "netio.sys":
        WskCaptureProviderNPI WskDeregister WskRegister WskReleaseProviderNPI;
    "ntoskrnl.exe":
        BCryptDecrypt BCryptGenerateSymmetricKey BCryptGetProperty BCryptImportKey BCryptSetProperty
        CcCanIWrite CcCoherencyFlushAndPurgeCache CcCopyRead CcCopyReadEx CcCopyWrite CcCopyWriteEx
        CcCopyWriteWontFlush CcDeferWrite CcFlushCache CcGetFileObjectFromBcb CcInitializeCacheMap
        CcIsThereDirtyData CcMapData CcMdlRead CcMdlReadComplete CcMdlWriteAbort CcMdlWriteComplete
        CcPinMappedData CcPinRead CcPrepareMdlWrite CcPreparePinWrite CcPurgeCacheSection CcRepinBcb
        CcSetAdditionalCacheAttributes CcSetAdditionalCacheAttributesEx CcSetBcbOwnerPointer
        CcSetDirtyPinnedData CcSetFileSizes CcSetReadAheadGranularity CcUninitializeCacheMap CcUnpinData
        CcUnpinDataForThread CcUnpinRepinnedBcb CcWaitForCurrentLazyWriterActivity CcZeroData
        CmCallbackGetKeyObjectID CmCallbackGetKeyObjectIDEx CmCallbackReleaseKeyObjectIDEx
        CmGetBoundTransaction CmGetCallbackVersion CmRegisterCallback CmRegisterCallbackEx
        CmSetCallbackObjectContext CmUnRegisterCallback DbgBreakPoint DbgBreakPointWithStatus
        DbgSetDebugFilterState DbgSetDebugPrintCallback EtwActivityIdControl EtwEventEnabled EtwRegister
        EtwSetInformation EtwUnregister EtwWrite EtwWriteTransfer ExAcquirePushLockExclusiveEx
        ExAcquireRundownProtectionCacheAware

        ExAllocatePoolZero ExAllocateTimer ExCancelTimer
        ExDeleteTimer ExDesktopObjectType ExEnumHandleTable ExGetCurrentProcessorCounts
        ExGetCurrentProcessorCpuUsage ExGetFirmwareEnvironmentVariable
        ExInitializePushLock ExInitializeRundownProtectionCacheAware
        ExInitializeZone ExIsProcessorFeaturePresent ExQueryTimerResolution
        ExQueryWnfStateData ExRaiseHardError
        ExReInitializeRundownProtectionCacheAware ExReleasePushLockExclusiveEx
        ExReleaseRundownProtectionCacheAware

        ExSetTimer ExSetTimerResolution ExSizeOfRundownProtectionCacheAware
        ExSubscribeWnfStateChange ExUuidCreate
        ExVerifySuite ExWaitForRundownProtectionReleaseCacheAware
        ExWindowStationObjectType ExfAcquirePushLockExclusive ExfAcquirePushLockShared ExfReleasePushLock
        ExfReleasePushLockShared ExfUnblockPushLock FltAcquirePushLockExclusive FltAcquirePushLockShared
        FltAttachVolume FltEnumerateFilters FltEnumerateVolumes FltFlushBuffers FltGetBottomInstance
        FltGetFileNameFormat FltGetFileNameQueryMethod FltGetFilterInformation FltGetRequestorProcessId
        FltGetRequestorSessionId FltGetVolumeFromName FltGetVolumeInformation
        FltReleasePushLock FsRtlAcquireFileExclusive FsRtlAddLargeMcbEntry
        FsRtlAddToTunnelCache FsRtlAllocateExtraCreateParameter FsRtlAllocateExtraCreateParameterList
        FsRtlAllocateFileLock FsRtlAllocatePool FsRtlAllocatePoolWithQuota FsRtlAllocatePoolWithQuotaTag
        FsRtlAllocatePoolWithTag FsRtlAreNamesEqual FsRtlAreThereCurrentOrInProgressFileLocks
        FsRtlAreThereWaitingFileLocks FsRtlAreVolumeStartupApplicationsComplete FsRtlBalanceReads
        FsRtlCancellableWaitForSingleObject FsRtlCheckLockForReadAccess FsRtlCheckLockForWriteAccess
        FsRtlCheckOplock FsRtlCheckOplockEx FsRtlCopyRead FsRtlCopyWrite FsRtlCreateSectionForDataScan
        FsRtlCurrentBatchOplock FsRtlCurrentOplockH FsRtlDeleteKeyFromTunnelCache FsRtlDeleteTunnelCache
        FsRtlDeregisterUncProvider FsRtlDismountComplete FsRtlDissectDbcs FsRtlDissectName
        FsRtlDoesDbcsContainWildCards FsRtlDoesNameContainWildCards FsRtlFastCheckLockForRead
        FsRtlFastCheckLockForWrite FsRtlFastUnlockAll FsRtlFastUnlockAllByKey FsRtlFastUnlockSingle
        FsRtlFindExtraCreateParameter FsRtlFindInTunnelCache FsRtlFreeExtraCreateParameter
        FsRtlFreeExtraCreateParameterList FsRtlFreeFileLock FsRtlGetEcpListFromIrp FsRtlGetFileSize
        FsRtlGetNextFileLock FsRtlGetNextLargeMcbEntry FsRtlGetSectorSizeInformation FsRtlInitializeFileLock
        FsRtlInitializeLargeMcb FsRtlInitializeOplock FsRtlInitializeTunnelCache
        FsRtlInsertExtraCreateParameter FsRtlIsDbcsInExpression FsRtlIsEcpFromUserMode FsRtlIsFatDbcsLegal
        FsRtlIsHpfsDbcsLegal FsRtlIsNameInExpression FsRtlIsNtstatusExpected FsRtlIsPagingFile
        FsRtlIsSystemPagingFile FsRtlIsTotalDeviceFailure FsRtlKernelFsControlFile
        FsRtlLegalAnsiCharacterArray FsRtlLookupLargeMcbEntry FsRtlLookupLastLargeMcbEntry
        FsRtlLookupLastLargeMcbEntryAndIndex FsRtlMdlRead FsRtlMdlReadComplete FsRtlMdlReadCompleteDev
        FsRtlMdlReadDev FsRtlMdlWriteCompleteDev FsRtlMupGetProviderInfoFromFileObject
        FsRtlNormalizeNtstatus FsRtlNotifyCleanup FsRtlNotifyCleanupAll FsRtlNotifyFilterChangeDirectory
        FsRtlNotifyFilterReportChange FsRtlNotifyFullChangeDirectory FsRtlNotifyFullReportChange
        FsRtlNotifyInitializeSync FsRtlNotifyReportChange FsRtlNotifyUninitializeSync FsRtlNotifyVolumeEvent
        FsRtlNumberOfRunsInLargeMcb FsRtlNumberOfRunsInMcb FsRtlOplockBreakH FsRtlOplockFsctrl
        FsRtlOplockIsFastIoPossible FsRtlOplockIsSharedRequest FsRtlPostPagingFileStackOverflow
        FsRtlPostStackOverflow FsRtlPrepareMdlWriteDev FsRtlPrivateLock FsRtlProcessFileLock
        FsRtlQueryKernelEaFile FsRtlRegisterFileSystemFilterCallbacks FsRtlRegisterUncProvider
        FsRtlRegisterUncProviderEx FsRtlReleaseFile FsRtlRemoveDotsFromPath FsRtlRemoveExtraCreateParameter
        FsRtlRemoveLargeMcbEntry FsRtlSetKernelEaFile FsRtlSplitLargeMcb FsRtlTeardownPerStreamContexts
        FsRtlTruncateLargeMcb FsRtlUninitializeFileLock FsRtlUninitializeLargeMcb FsRtlUninitializeOplock
        FsRtlUpdateDiskCounters FsRtlValidateReparsePointBuffer FsRtlVolumeDeviceToCorrelationId
        FwpmBfeStateGet0 FwpmBfeStateSubscribeChanges0 FwpmBfeStateUnsubscribeChanges0
        FwpmCalloutCreateEnumHandle0 FwpmCalloutDeleteById0 FwpmCalloutDestroyEnumHandle0 FwpmCalloutEnum0
        FwpmCalloutGetByKey0 FwpmFilterCreateEnumHandle0 FwpmFilterDeleteById0 FwpmFilterDestroyEnumHandle0
        FwpmFilterEnum0 FwpmFreeMemory0 FwpmProviderContextDeleteByKey0 FwpmProviderCreateEnumHandle0
        FwpmProviderDestroyEnumHandle0 FwpmProviderEnum0 FwpmSubLayerCreateEnumHandle0
        FwpmSubLayerDestroyEnumHandle0 FwpmSubLayerEnum0 FwpsAcquireClassifyHandle0
        FwpsAcquireWritableLayerDataPointer0 FwpsAllocateCloneNetBufferList0 FwpsApplyModifiedLayerData0
        FwpsCalloutRegister1 FwpsCalloutRegister2 FwpsCalloutRegister3 FwpsCalloutUnregisterById0
        FwpsClassifyOptionSet0 FwpsCloneStreamData0 FwpsCompleteClassify0 FwpsCompleteOperation0
        FwpsConstructIpHeaderForTransportPacket0 FwpsCopyStreamDataToBuffer0 FwpsDereferenceNetBufferList0
        FwpsDiscardClonedStreamData0 FwpsFlowAbort0 FwpsFreeCloneNetBufferList0
        FwpsGetPacketListSecurityInformation0 FwpsInjectMacReceiveAsync0 FwpsInjectMacSendAsync0
        FwpsInjectTransportReceiveAsync0 FwpsInjectTransportSendAsync0 FwpsInjectTransportSendAsync1
        FwpsPendClassify0 FwpsPendOperation0 FwpsQueryConnectionRedirectState0 FwpsRedirectHandleCreate0
        FwpsRedirectHandleDestroy0 FwpsReferenceNetBufferList0 FwpsReleaseClassifyHandle0
        FwpsStreamContinue0 FwpsStreamInjectAsync0 GetDefaultCompartmentId GetSecurityUserInfo
        HalAllocateCommonBuffer HalAllocateCrashDumpRegisters HalAllocateHardwareCounters
        HalAssignSlotResources HalDispatchTable HalDisplayString HalExamineMBR HalFreeCommonBuffer
        HalFreeHardwareCounters HalGetAdapter HalGetBusData HalGetInterruptVector HalPrivateDispatchTable
        HalQueryDisplayParameters HalReturnToFirmware HalSendNMI HalSetBusData HalSetDisplayParameters
        HalTranslateBusAddress InbvAcquireDisplayOwnership InbvDisplayString InbvEnableDisplayString
        InbvIsBootDriverInstalled InbvNotifyDisplayOwnershipLost InbvResetDisplay InbvSetScrollRegion
        InbvSetTextColor InbvSolidColorFill IoAcquireVpbSpinLock IoAdapterObjectType
        IoAllocateAdapterChannel IoAllocateErrorLogEntry IoAssignResources IoCancelMiniCompletionPacket
        IoCheckFunctionAccess IoCompletionObjectType IoConnectInterrupt
        IoCreateController IoCreateDisk IoCreateDriver IoCreateFileEx
        IoCreateFileSpecifyDeviceObjectHint IoCreateStreamFileObject IoCreateStreamFileObjectLite
        IoCreateSystemThread IoDeleteController IoDeviceHandlerObjectType IoDisconnectInterrupt IoEnqueueIrp
        IoEnumerateDeviceObjectList IoEnumerateRegisteredFiltersList IoForwardIrpSynchronously
        IoFreeErrorLogEntry IoGetBaseFileSystemDeviceObject IoGetConfigurationInformation
        IoGetDeviceInterfaceAlias IoGetDevicePropertyData
        IoGetDeviceToVerify IoGetDiskDeviceObject IoGetDmaAdapter IoGetFileObjectGenericMapping
        IoGetInitialStack IoGetIoPriorityHint IoGetIrpExtraCreateParameter IoGetOplockKeyContextEx
        IoGetPagingIoPriority IoGetRequestorProcess IoGetRequestorProcessId IoGetRequestorSessionId
        IoGetTopLevelIrp IoGetTransactionParameterBlock IoInitializeMiniCompletionPacket IoInitializeTimer
        IoIs32bitProcess IoIsFileObjectIgnoringSharing
        IoIsFileOriginRemote IoIsOperationSynchronous IoIsSystemThread IoIsWdmVersionAvailable
        IoQueryDeviceDescription IoQueryFileDosDeviceName IoQueryFullDriverPath
        IoRaiseHardError IoRaiseInformationalHardError IoReadDiskSignature IoReadPartitionTable
        IoReadPartitionTableEx IoRegisterBootDriverCallback IoRegisterFileSystem
        IoRegisterFsRegistrationChange IoReleaseVpbSpinLock
        IoRemoveIoCompletion IoReportDetectedDevice IoReportResourceUsage
        IoReportTargetDeviceChangeAsynchronous IoRetrievePriorityInfo IoSetCompletionRoutineEx
        IoSetDeviceInterfacePropertyData IoSetDeviceToVerify
        IoSetHardErrorOrVerifyDevice IoSetIoCompletion IoSetIoCompletionEx IoSetIoCompletionEx3
        IoSetIoPriorityHint IoSetIrpExtraCreateParameter IoSetPartitionInformation
        IoSetPartitionInformationEx IoSetSystemPartition IoSetThreadHardErrorMode IoSetTopLevelIrp
        IoStartTimer IoStopTimer IoThreadToProcess IoUnregisterBootDriverCallback IoUnregisterFileSystem
        IoUnregisterFsRegistrationChange IoUnregisterPlugPlayNotificationEx
        IoVerifyPartitionTable IoVerifyVolume IoVolumeDeviceToDosName IoVolumeDeviceToGuid
        IoWMIDeviceObjectToProviderId IoWMIExecuteMethod IoWMIOpenBlock IoWMIQueryAllData
        IoWMIQuerySingleInstance IoWMISetNotificationCallback
        IoWMISetSingleInstance IoWithinStackLimits IoWriteErrorLogEntry
        IoWritePartitionTable IoWritePartitionTableEx KdChangeOption KdDisableDebugger KdEnableDebugger
        KdRefreshDebuggerNotPresent KdSystemDebugControl KeAcquireInterruptSpinLock KeAcquireQueuedSpinLock
        KeAcquireQueuedSpinLockRaiseToSynch KeAddProcessorAffinityEx KeAttachProcess
        KeCapturePersistentThreadState KeDeregisterBugCheckCallback KeDeregisterBugCheckReasonCallback
        KeDeregisterNmiCallback KeDetachProcess KeFlushEntireTb KeFlushIoBuffers KeInitializeAffinityEx
        KeInitializeApc KeInitializeCrashDumpHeader KeInitializeMutant
        KeInsertQueueApc KeInvalidateAllCaches KeInvalidateRangeAllCaches KeIpiGenericCall
        KeIsAttachedProcess KeQueryDpcWatchdogInformation KeQueryPrcbAddress
        KeRegisterBugCheckCallback KeRegisterBugCheckReasonCallback KeRegisterNmiCallback
        KeReleaseInterruptSpinLock KeReleaseMutant KeReleaseQueuedSpinLock KeRemoveQueueEx
        KeRevertToUserAffinityThread KeRevertToUserAffinityThreadEx KeRevertToUserGroupAffinityThread
        KeSetBasePriorityThread KeSetKernelStackSwapEnable KeSetSystemAffinityThread
        KeSetSystemAffinityThreadEx KeSetSystemGroupAffinityThread KeStackAttachProcess
        KeSynchronizeExecution KeTestAlertThread KeTryToAcquireQueuedSpinLock
        KeTryToAcquireQueuedSpinLockRaiseToSynch KeUnstackDetachProcess KsAddItemToObjectBag
        KsCreateFilterFactory KsDefaultAddEventHandler KsGenerateEvents KsGetDevice
        KsGetDeviceForDeviceObject KsGetFilterFromIrp KsGetFirstChild KsGetNextSibling
        KsGetObjectFromFileObject KsGetPinFromIrp KsInitializeDriver KsPinAttemptProcessing
        KsPinGetLeadingEdgeStreamPointer KsPinGetReferenceClockInterface KsRemoveItemFromObjectBag
        KsStreamPointerAdvance KsStreamPointerClone KsStreamPointerDelete KsStreamPointerGetIrp
        KsStreamPointerSetStatusCode KsStreamPointerUnlock LdrAccessResource LdrFindResource_U
        LsaFreeReturnBuffer Mm64BitPhysicalAddress MmAdvanceMdl MmAllocateContiguousMemory
        MmAllocateContiguousMemorySpecifyCache MmAllocateMappingAddress MmAllocateNonCachedMemory
        MmCanFileBeTruncated MmCopyMemory MmCopyVirtualMemory MmCreateMdl MmCreateSection
        MmDoesFileHaveUserWritableReferences MmFlushImageSection MmForceSectionClosed MmFreeContiguousMemory
        MmFreeContiguousMemorySpecifyCache MmFreeMappingAddress MmFreeNonCachedMemory MmGetPhysicalAddress
        MmGetPhysicalMemoryRanges MmGetVirtualForPhysical MmIsDriverVerifying MmIsNonPagedSystemAddressValid
        MmIsRecursiveIoFault MmIsThisAnNtAsSystem MmIsVerifierEnabled MmLockPagableDataSection
        MmLockPagableSectionByHandle MmMapIoSpace MmMapIoSpaceEx MmMapLockedPagesWithReservedMapping
        MmMapViewInSystemSpaceEx MmMapViewOfSection MmPageEntireDriver
        MmPrefetchPages MmProbeAndLockProcessPages MmProtectMdlSystemAddress MmQuerySystemSize
        MmResetDriverPaging MmUnlockPagableImageSection
        MmUnmapIoSpace MmUnmapReservedMapping MmUnmapViewOfSection
        MupSurrogateDeregisterProvider MupSurrogateGetFileName
        MupSurrogateGetUncProviderDeviceObject MupSurrogateRegisterProvider MupSurrogateRestartIo
        MupSurrogateSetUndecoratedFileName NdisAdvanceNetBufferListDataStart NdisAllocateBuffer
        NdisAllocateBufferPool NdisAllocateGenericObject NdisAllocateMdl NdisAllocateMemory
        NdisAllocateMemoryWithTagPriority NdisAllocateNetBufferAndNetBufferList NdisAllocatePacket
        NdisAllocatePacketPool NdisCancelTimer NdisCloseAdapter NdisCopyFromNetBufferToNetBuffer
        NdisCopyReceiveNetBufferListInfo NdisCopySendNetBufferListInfo NdisDeregisterDeviceEx
        NdisDeregisterProtocol NdisFCancelSendNetBufferLists NdisFDeregisterFilterDriver
        NdisFIndicateReceiveNetBufferLists NdisFIndicateStatus NdisFRegisterFilterDriver
        NdisFReturnNetBufferLists NdisFSendNetBufferLists NdisFSendNetBufferListsComplete NdisFSetAttributes
        NdisFreeBufferPool NdisFreeGenericObject NdisFreeMemory NdisFreeNetBufferList NdisFreePacket
        NdisFreePacketPool NdisGetVersion NdisInitializeEvent NdisInitializeTimer NdisOpenAdapter
        NdisRegisterDeviceEx NdisRegisterProtocol NdisResetEvent NdisRetreatNetBufferListDataStart
        NdisSetEvent NdisSetTimer NdisUnchainBufferAtFront NdisWaitEvent Ndr64AsyncClientCall
        NetioInitializeWorkQueue NetioInsertWorkQueue NetioNrtDispatch NetioNrtIsTrackerDevice NetioNrtStart
        NetioNrtStop NetioSetTriageBlock NetioShutdownWorkQueue NetioTimerWorkItemInitialize
        NetioTimerWorkItemShutdown NetioTimerWorkItemStart NicmCreateInstance NicmDeregisterClassFactory
        NlsMbCodePageTag NlsMbOemCodePageTag NlsOemLeadByteInfo NmrClientAttachProvider
        NmrClientDetachProviderComplete NmrDeregisterClient NmrDeregisterProvider
        NmrProviderDetachClientComplete NmrRegisterClient NmrRegisterProvider
        NmrWaitForClientDeregisterComplete NmrWaitForProviderDeregisterComplete NsiAllocateAndGetTable
        NsiDeregisterChangeNotification NsiFreeTable NsiGetAllParameters NsiRegisterChangeNotification
        NsiRegisterChangeNotificationEx NtAllocateVirtualMemory NtFreeVirtualMemory
        NtOpenProcess
        NtQueryInformationProcess NtQueryInformationThread NtQueryInformationToken NtQuerySystemInformation
        NtSetInformationThread NtShutdownSystem ObCreateObject ObCreateObjectType
        ObDereferenceSecurityDescriptor ObDuplicateObject ObFindHandleForObject ObGetFilterVersion
        ObInsertObject ObLogSecurityDescriptor ObOpenObjectByName ObQueryObjectAuditingByHandle
        ObReferenceSecurityDescriptor ObRegisterCallbacks ObSetSecurityObjectByPointer ObUnRegisterCallbacks
        PcAddAdapterDevice PcDispatchIrp PcGetPhysicalDeviceObject PcInitializeAdapterDriver PcNewMiniport
        PcNewPort PcNewServiceGroup PcRegisterAdapterPowerManagement PcRegisterPhysicalConnection
        PcRegisterSubdevice PcoreAddConfiguration PcoreGetResourceCount PcoreIsLoaded PcoreRegister
        PcoreRemoveAllConfigurations PcoreUnregister PcoreVersion PcwAddInstance PcwRegister PcwUnregister
        PoFxSetDeviceIdleTimeout PoQueryWatchdogTime PoRegisterPowerSettingCallback
        PoRegisterSystemState PoSetSystemState
        PoUnregisterPowerSettingCallback PoUnregisterSystemState PsAcquireProcessExitSynchronization
        PsAttachSiloToCurrentThread PsChargeProcessPoolQuota PsCreateSiloContext
        PsDereferenceSiloContext PsDetachSiloFromCurrentThread PsGetContextThread
        PsGetCurrentProcessSessionId PsGetCurrentProcessWow64Process PsGetCurrentServerSilo
        PsGetCurrentThreadTeb PsGetPermanentSiloContext PsGetProcessCreateTimeQuadPart PsGetProcessDebugPort
        PsGetProcessExitProcessCalled PsGetProcessExitStatus PsGetProcessExitTime PsGetProcessImageFileName
        PsGetProcessInheritedFromUniqueProcessId PsGetProcessJob PsGetProcessPeb PsGetProcessProtection
        PsGetProcessSectionBaseAddress PsGetProcessSessionId PsGetProcessWin32Process
        PsGetProcessWow64Process PsGetSiloIdentifier PsGetSiloMonitorContextSlot PsGetThreadExitStatus
        PsGetThreadHardErrorsAreDisabled PsGetThreadId PsGetThreadProcess PsGetThreadProcessId
        PsGetThreadSessionId PsGetThreadTeb PsGetThreadWin32Thread PsGetVersion
        PsInsertPermanentSiloContext PsIsDiskCountersEnabled PsIsProcessBeingDebugged PsIsProtectedProcess
        PsIsThreadTerminating PsJobType PsLoadedModuleList PsLoadedModuleResource
        PsLookupProcessThreadByCid PsLookupThreadByThreadId
        PsReferenceProcessFilePointer PsReferenceSiloContext PsRegisterSiloMonitor
        PsReleaseProcessExitSynchronization PsRemoveCreateThreadNotifyRoutine PsRemoveLoadImageNotifyRoutine
        PsResumeProcess PsReturnPoolQuota PsSetContextThread PsSetCreateProcessNotifyRoutine
        PsSetCreateProcessNotifyRoutineEx PsSetCreateThreadNotifyRoutine PsSetCreateThreadNotifyRoutineEx
        PsSetLoadImageNotifyRoutine PsSetThreadHardErrorsAreDisabled PsStartSiloMonitor PsSuspendProcess
        PsUnregisterSiloMonitor PsUpdateDiskCounters PsWrapApcWow64Thread RpcAsyncCancelCall
        RpcAsyncCompleteCall RpcAsyncInitializeHandle RpcBindingBind RpcBindingCreateW RpcBindingFree
        RpcBindingSetOption RpcBindingUnbind RpcExceptionFilter RtlAddRange RtlAllocateHeap RtlAreBitsClear
        RtlAreBitsSet RtlAssert RtlCaptureStackBackTrace RtlCleanupTimerWheel RtlCleanupTimerWheelEntry
        RtlClearAllBits RtlClearBits RtlCmDecodeMemIoResource RtlCompareMemoryUlong
        RtlConvertUlongToLargeInteger RtlCopyLuid RtlCopyMdlToBuffer RtlCopyMdlToMdl RtlCreateHeap
        RtlCreateSystemVolumeInformationFolder RtlCreateUserThread RtlDelete RtlDeleteElementGenericTable
        RtlDeleteElementGenericTableAvl RtlDeleteNoSplay RtlDestroyHeap RtlEnumerateGenericTable
        RtlEnumerateGenericTableAvl RtlEnumerateGenericTableLikeADirectory
        RtlEnumerateGenericTableWithoutSplaying RtlEnumerateGenericTableWithoutSplayingAvl RtlEqualLuid
        RtlEthernetAddressToStringW RtlFindClearBits RtlFindClearBitsAndSet RtlFindExportedRoutineByName
        RtlFindFirstRunClear RtlFindLongestRunClear RtlFindMessage RtlFindNextForwardRunClear RtlFindSetBits
        RtlFindUnicodePrefix RtlFormatCurrentUserKeyPath RtlFreeHeap RtlFreeRangeList RtlGenerate8dot3Name
        RtlGetElementGenericTable RtlGetElementGenericTableAvl RtlGetNextExpiredTimerWheelEntry
        RtlImageDirectoryEntryToData RtlImageNtHeader RtlImageNtHeaderEx
        RtlIndicateTimerWheelEntryTimerStart RtlInitializeBitMap RtlInitializeGenericTable
        RtlInitializeGenericTableAvl RtlInitializeRangeList RtlInitializeTimerWheel
        RtlInitializeTimerWheelEntry RtlInitializeUnicodePrefix RtlInsertElementGenericTable
        RtlInsertElementGenericTableAvl RtlInsertUnicodePrefix RtlIntegerToUnicode RtlIpv4AddressToStringA
        RtlIpv4AddressToStringExW RtlIpv4StringToAddressA RtlIpv4StringToAddressExW RtlIpv4StringToAddressW
        RtlIpv6AddressToStringA RtlIpv6AddressToStringExW RtlIpv6StringToAddressA RtlIpv6StringToAddressExW
        RtlIpv6StringToAddressW RtlIsGenericTableEmpty RtlIsGenericTableEmptyAvl RtlIsNameLegalDOS8Dot3
        RtlIsValidOemCharacter RtlLookupElementGenericTable RtlLookupElementGenericTableAvl
        RtlMapGenericMask RtlNumberGenericTableElements RtlNumberGenericTableElementsAvl
        RtlNumberOfClearBits RtlOemStringToCountedUnicodeString RtlOemStringToUnicodeSize
        RtlOemStringToUnicodeString RtlOemToUnicodeN RtlPrefetchMemoryNonTemporal RtlRemoveUnicodePrefix
        RtlReturnTimerWheelEntry RtlRunOnceExecuteOnce RtlSetAllBits RtlSetBit RtlSetBits RtlSplay
        RtlSuspendTimerWheel RtlTestBit RtlTraceDatabaseDestroy RtlUTF8ToUnicodeN
        RtlUnicodeStringToCountedOemString RtlUnicodeStringToOemString RtlUnicodeToUTF8N
        RtlUpcaseUnicodeStringToCountedOemString RtlUpdateCurrentTimerWheelTick RtlValidateUnicodeString
        RtlVirtualUnwind RtlVolumeDeviceToDosName RtlWalkFrameChain RxAcquireExclusiveFcbPagingInMRx
        RxAcquireExclusiveFcbResourceInMRx RxAcquireLogicalViewRundownInMRx RxAcquirePowerContextLock
        RxAcquireSharedFcbResourceInMRx RxAttachIrpToRxContext RxClearLogicalRdrVNetRootCredential
        RxClearMinirdrCancelRoutine RxCloseAndFreeMRxStateOnFcb RxCloseAndFreeMRxStateOnLogicalView
        RxCompleteRequestEx RxCreateLinkedVNetRoot RxCreateNetFobx RxCreateRxContext RxDeleteLinkedVNetRoot
        RxDereference RxDereferenceAndDeleteRxContext_Real RxDereferenceCredential
        RxDeregisterSrvOpenWithBufferingManager RxDetachIrpFromRxContext
        RxDoesOplockStateChangeOnSrvOpenClose RxDoesRedirSupportLogicalViews RxDowngradeFcbToSharedInMRx
        RxFcbTableNameFromFcb RxFinalizeConnection RxFindEa RxFindFirstPhysicalRdrVNetRootFromNetRoot
        RxFindRegisteredMiniRedir RxFinishFcbInitialization RxFlushFcbInSystemCache RxFsdDispatch
        RxGetDeviceObjectOfInstance RxGetRDBSSProcess RxGetShareRights RxInitNetInfoFromFcb
        RxInitializeLowIoContext RxIsCompatibleSecurityContext RxIsCredentialOrphaned
        RxIsFcbPagingInMRxAcquiredExclusive RxIsFcbPagingInMRxAcquiredShared RxIsUserCredentialPresent
        RxIterateOnFcbOpens RxIterateOnLViewFcbsInMRx RxIterateOnVNetRoots RxLastComponentUnicodeString
        RxLockEnumerator RxLowIoCompletion RxLowIoGetBufferAddress RxNotifyBufferingManagerOfCompletedOpen
        RxNotifyBufferingManagerOfPendingOpen RxOrphanCredential RxOrphanFobx RxPostToWorkerThread
        RxPrefixTableEndLookup RxPrefixTableLookupFirstObject RxPrefixTableLookupNameEx
        RxPrefixTableLookupNextObject RxPrefixTableUnwindLastEnum RxPurgeFcbInSystemCache
        RxQueryDeepestLViewInPath RxQueryNetRootCachingMode RxRecreateVNetRoot RxReference
        RxReferenceCredential RxRegisterLogicalMinirdr RxRegisterMinirdr RxReleaseFcbPagingInMRx
        RxReleaseFcbResourceInMRx RxReleaseLViewRundownInMRx RxReleasePowerContextLock
        RxRemoveDollarDataSuffix RxScavengeRelatedClosePendingFobxs RxScavengeRelatedFobxs
        RxSetBasicInfoInFcb RxSetFcbDispatchTable RxSetFcbNameTargetType RxSetMinirdrCancelRoutine
        RxSidFromRxContext RxSubjectContextFromRxContext RxUnOrphanCredential RxUnmarkOrphanableFobx
        RxUnregisterMinirdr RxUpdateFcbPowerState RxUpdateNetRootCachingMode RxUpdateOplockStateOnCreate
        RxpTrackDereference RxpTrackReference SeAppendPrivileges SeAssignSecurityEx
        SeCaptureSubjectContextEx SeCreateAccessState
        SeDeleteAccessState
        SeDeleteObjectAuditAlarm SeFilterToken SeGetCachedSigningLevel
        SeLocateProcessImageName SeMarkLogonSessionForTerminationNotification
        SeOpenObjectAuditAlarm SeQuerySecurityDescriptorInfo SeQuerySessionIdToken
        SeRegisterLogonSessionTerminatedRoutine SeSetSecurityDescriptorInfo
        SeUnregisterLogonSessionTerminatedRoutine Space Tbsi_Revoke_Attestation TdiCopyBufferToMdl
        TdiCopyMdlToBuffer TdiDeregisterPnPHandlers TdiInitialize TdiMapUserRequest
        TdiMatchPdoWithChainedReceiveContext TdiRegisterPnPHandlers TdiReturnChainedReceives
        TmCommitComplete TmEnableCallbacks TmRollbackComplete TmTransactionObjectType
        USBD_CreateConfigurationRequestEx USBD_ParseConfigurationDescriptor
        USBD_ParseConfigurationDescriptorEx WdfLdrQueryInterface WmiTraceMessageVa WppAutoLogStart
        WppAutoLogStop WppAutoLogTrace ZwAdjustPrivilegesToken ZwAllocateVirtualMemory ZwAlpcConnectPort
        ZwAssignProcessToJobObject ZwCancelTimer ZwCommitTransaction ZwCreateEnlistment
        ZwCreateJobObject ZwCreateKeyTransacted ZwCreateResourceManager ZwCreateTimer
        ZwCreateTransaction ZwCreateTransactionManager ZwDeleteFile ZwDuplicateToken ZwFreeVirtualMemory
        ZwLockVirtualMemory ZwNotifyChangeKey
        ZwOpenKeyTransacted ZwOpenProcess ZwOpenProcessToken ZwOpenProcessTokenEx ZwOpenThread
        ZwOpenThreadTokenEx ZwOpenTimer ZwPowerInformation ZwProtectVirtualMemory
        ZwQueryInformationProcess ZwQueryInformationThread
        ZwQueryInformationToken ZwQueryInformationTransaction ZwQueryLicenseValue ZwQueryObject
        ZwQuerySystemInformation ZwQueryVirtualMemory
        ZwRollbackTransaction ZwSetInformationObject
        ZwSetInformationProcess ZwSetInformationThread ZwSetInformationVirtualMemory ZwSetSystemInformation
        ZwSetTimer ZwTerminateJobObject ZwTerminateProcess ZwUnloadKey         ZwUpdateWnfStateData ZwWaitForMultipleObjects ZwYieldExecution _KsEdit __chkstk _local_unwind
        _purecall imp_WppRecorderGetTriageInfo imp_WppRecorderReplay rsndisp_deregister rsndisp_init
        rsndisp_register;
    "wdfldr.sys":
        WdfVersionBind WdfVersionBindClass WdfVersionUnbind WdfVersionUnbindClass;
}
