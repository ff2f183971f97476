//! Every error of the SDK gets its kind here, and nowhere else.

use core::fmt;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use qsketch_runtime::ports::{PortError, PortErrorKind};

/// Makes a [`PortError`] of an error of the SDK. `what` was tried.
pub(crate) fn port_error<E>(what: impl fmt::Display, error: SdkError<E, HttpResponse>) -> PortError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let kind = match &error {
        SdkError::ConstructionFailure(_) => PortErrorKind::Invalid,
        SdkError::TimeoutError(_) => PortErrorKind::Unavailable,
        SdkError::DispatchFailure(failure) => {
            if lacks_credentials(failure.as_connector_error().map(|error| error as &dyn std::error::Error)) {
                PortErrorKind::Denied
            } else {
                PortErrorKind::Unavailable
            }
        }
        SdkError::ResponseError(_) => PortErrorKind::Unavailable,
        SdkError::ServiceError(service) => {
            let code = service.err().code().unwrap_or_default();
            kind_of(code, service.raw().status().as_u16())
        }
        _ => PortErrorKind::Unavailable,
    };
    PortError::new(what, kind).because(error)
}

/// The kind of a service's error, by its code and, for codes not listed, by its HTTP status.
///
/// # Source
/// "Common errors" and the error lists of the DynamoDB, SQS, S3 and Systems Manager API references, read 2026-11-22.
pub(crate) fn kind_of(code: &str, status: u16) -> PortErrorKind {
    // SQS puts a legacy prefix before its codes.
    let code = code.rsplit(['.', '#']).next().unwrap_or(code);
    match code {
        "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "LimitExceededException"
        | "SlowDown"
        | "TooManyRequestsException"
        | "RequestThrottled"
        | "OverLimit"
        | "KmsThrottled"
        | "BandwidthLimitExceeded"
        | "ReplicatedWriteConflictException" => PortErrorKind::Throttled,
        "InternalServerError"
        | "InternalError"
        | "InternalFailure"
        | "ServiceUnavailable"
        | "TransactionConflictException"
        | "TransactionInProgressException"
        | "RequestTimeout"
        | "RequestTimeoutException"
        | "ConditionalRequestConflict"
        | "OperationAborted"
        // Damaged on the way, or credentials that are being renewed.
        | "IncompleteBody"
        | "BadDigest"
        | "XAmzContentSHA256Mismatch"
        | "XAmzContentChecksumMismatch"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "TokenRefreshRequired" => PortErrorKind::Unavailable,
        "AccessDenied"
        | "AccessDeniedException"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "InvalidAccessKeyId"
        | "NotAuthorized"
        | "OptInRequired"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "KmsAccessDenied"
        | "KmsDisabled" => PortErrorKind::Denied,
        "ResourceNotFoundException"
        | "QueueDoesNotExist"
        | "NonExistentQueue"
        | "NoSuchBucket"
        | "ParameterNotFound"
        | "TableNotFoundException" => PortErrorKind::Missing,
        "ItemCollectionSizeLimitExceededException" | "BatchRequestTooLong" | "EntityTooLarge" => {
            PortErrorKind::TooLarge
        }
        _ => match status {
            401 | 403 => PortErrorKind::Denied,
            408 | 500..=599 => PortErrorKind::Unavailable,
            429 => PortErrorKind::Throttled,
            _ => PortErrorKind::Invalid,
        },
    }
}

/// Whether there are no credentials, or wrong ones; a provider that fails or is late may answer the next time.
fn lacks_credentials(mut next: Option<&(dyn std::error::Error + 'static)>) -> bool {
    use aws_credential_types::provider::error::CredentialsError;
    for _ in 0..SOURCES_MAX {
        let Some(error) = next else { return false };
        if let Some(error) = error.downcast_ref::<CredentialsError>() {
            return matches!(
                error,
                CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_)
            );
        }
        next = error.source();
    }
    false
}

/// How deep an error's sources are looked through.
const SOURCES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_code_has_its_kind_and_the_status_answers_for_the_others() {
        for (code, status, kind) in [
            ("ThrottlingException", 400, PortErrorKind::Throttled),
            ("com.amazonaws.dynamodb#ProvisionedThroughputExceededException", 400, PortErrorKind::Throttled),
            ("AWS.SimpleQueueService.NonExistentQueue", 400, PortErrorKind::Missing),
            ("ParameterNotFound", 400, PortErrorKind::Missing),
            ("TransactionConflictException", 400, PortErrorKind::Unavailable),
            ("TransactionInProgressException", 400, PortErrorKind::Unavailable),
            ("InternalServerError", 500, PortErrorKind::Unavailable),
            ("RequestTimeout", 400, PortErrorKind::Unavailable),
            ("RequestThrottled", 403, PortErrorKind::Throttled),
            ("ExpiredTokenException", 400, PortErrorKind::Unavailable),
            ("BadDigest", 400, PortErrorKind::Unavailable),
            ("SomethingNew", 503, PortErrorKind::Unavailable),
            ("SomethingNew", 429, PortErrorKind::Throttled),
            ("SomethingNew", 403, PortErrorKind::Denied),
            ("ValidationException", 400, PortErrorKind::Invalid),
        ] {
            assert_eq!(kind_of(code, status), kind, "{code} {status}");
        }
    }
}
