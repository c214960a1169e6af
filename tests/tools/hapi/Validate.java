import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.SingleValidationMessage;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.r5.utils.validation.constants.BestPracticeWarningLevel;

/**
 * Validates FHIR R4 resources against the base profiles and the vital-signs profiles, without any network.
 *
 * One resource a line on standard input (JSON); for each its messages on standard output, one a line as
 * "severity TAB location TAB words", closed by an empty line.
 */
public final class Validate {
  public static void main(String[] arguments) throws Exception {
    PrintStream answers = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    System.setOut(System.err);
    FhirValidator validator = validator();
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      for (SingleValidationMessage message : validator.validateWithResult(line).getMessages()) {
        String words = message.getMessage().replaceAll("\\s+", " ");
        answers.println(message.getSeverity().getCode() + "\t" + message.getLocationString() + "\t" + words);
      }
      answers.println();
      answers.flush();
    }
  }

  private static FhirValidator validator() {
    FhirContext context = FhirContext.forR4();
    IValidationSupport support = new ValidationSupportChain(
        new DefaultProfileValidationSupport(context),
        new CommonCodeSystemsTerminologyService(context),
        new InMemoryTerminologyServerValidationSupport(context),
        new SnapshotGeneratingValidationSupport(context));
    FhirInstanceValidator instance = new FhirInstanceValidator(support);
    instance.setAnyExtensionsAllowed(false);
    instance.setBestPracticeWarningLevel(BestPracticeWarningLevel.Hint);
    return context.newValidator().registerValidatorModule(instance);
  }
}
